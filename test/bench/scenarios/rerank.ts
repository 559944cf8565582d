import { bodyFile } from '../load/bodies.ts';
import { takeTurns } from '../measure/pairs.ts';
import { describeSample, directSide, measureSide, type SideSample, throughSide } from '../measure/side.ts';
import { median, medianRatio } from '../measure/statistics.ts';
import type { Figure, Outcome, Scenario } from '../scenario.ts';
import { startBenchStack } from '../systems/bench-stack.ts';

const shapes = [
  { clients: 64, documents: 1 },
  { clients: 16, documents: 8 },
];

/** Reranking; directly means vLLM's own /v1/rerank with our chat template, so that both do the same work. */
export const rerank: Scenario = {
  name: 'rerank',
  title:
    '64 clients with 1 document, 16 clients with 8, a real vLLM: through the gateway and directly, in turns',
  run: async bench => {
    const { seconds, pairs, warmUpSeconds } = bench.options;
    const vllm = await bench.vllm('reranker');
    return bench.using(startBenchStack(bench, { reranker: vllm.url }), async stack => {
      const outcome: Outcome = { figures: [], samples: {} };
      for (const { clients, documents } of shapes) {
        const name = `${clients} clients, ${documents} document${documents === 1 ? '' : 's'}`;
        const bodies = bodyFile(bench.folder, { route: 'rerank', documents });
        const measure = (side: typeof direct, length: number, seed: number) =>
          measureSide(side, { bodies, arrivals: { clients }, seconds: length, seed }, documents);
        const direct = directSide(vllm, '/v1/rerank');
        const through = throughSide(stack, vllm, 'reranker', '/v1/rerank');
        for (const side of [direct, through]) await measure(side, warmUpSeconds ?? 5, 0);
        const samples = await takeTurns(
          {
            direct: round => measure(direct, seconds ?? 6, round * 1000 + 1),
            through: round => measure(through, seconds ?? 6, round * 1000 + 501),
          },
          {
            rounds: pairs ?? 5,
            onSample: (side, sample) => bench.log(`${name}, ${side}: ${describeSample(sample)}`),
          },
        );
        outcome.samples[name] = samples;
        outcome.figures.push(...figuresOf(name, samples));
      }
      return outcome;
    });
  },
};

function figuresOf(name: string, { direct, through }: Record<'direct' | 'through', SideSample[]>): Figure[] {
  const rates = (samples: SideSample[]) => samples.map(sample => sample.itemsPerSecond);
  return [
    { name: `${name}: documents/s directly`, value: median(rates(direct)), unit: '1/s' },
    { name: `${name}: documents/s through the gateway`, value: median(rates(through)), unit: '1/s' },
    {
      name: `${name}: through / directly, median of pairs`,
      value: medianRatio(rates(through), rates(direct)),
      unit: 'x',
      target: { atLeast: 1.1 },
    },
  ];
}
