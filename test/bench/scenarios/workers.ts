import type { Bench } from '../bench.ts';
import { bodyFile } from '../load/bodies.ts';
import { takeTurns } from '../measure/pairs.ts';
import { describeSample, measureSide, throughSide } from '../measure/side.ts';
import { median, medianRatio } from '../measure/statistics.ts';
import type { Outcome, Scenario } from '../scenario.ts';
import { startBenchStack } from '../systems/bench-stack.ts';

const clients = 64;

/** Two gateways before one vLLM, one with 64 workers: what do they cost when they all work? */
export const workers: Scenario = {
  name: 'workers',
  title: '64 clients, one text a request, a real vLLM: 64 warm workers beside 2, in turns',
  run: manyWorkers,
};

async function manyWorkers(bench: Bench): Promise<Outcome> {
  const { seconds, pairs, warmUpSeconds } = bench.options;
  const vllm = await bench.vllm('embedding');
  const bodies = bodyFile(bench.folder, { route: 'embeddings', inputs: 1, encoding: 'base64' });
  const counts = bench.options.isQuick ? { few: 2, many: 8 } : { few: 2, many: 64 };
  return bench.using(startBenchStack(bench, { workers: counts.few, embedding: vllm.url }), few =>
    bench.using(startBenchStack(bench, { workers: counts.many, embedding: vllm.url }), async many => {
      const measure = (stack: typeof few, length: number, seed: number) =>
        measureSide(throughSide(stack, vllm, 'embedding', '/v1/embeddings'), {
          bodies,
          arrivals: { clients },
          seconds: length,
          seed,
        });
      // Every worker has to compile its code for itself: some 1,500 requests each, of which 64 workers get 8 a second.
      await measure(few, warmUpSeconds ?? 5, 0);
      await measure(many, warmUpSeconds ?? 180, 0);
      const samples = await takeTurns(
        {
          few: round => measure(few, seconds ?? 6, round * 1000 + 1),
          many: round => measure(many, seconds ?? 6, round * 1000 + 501),
        },
        {
          rounds: pairs ?? 5,
          onSample: (side, sample) =>
            bench.log(`${counts[side as keyof typeof counts]} workers: ${describeSample(sample)}`),
        },
      );
      const rates = (side: 'few' | 'many') => samples[side].map(({ itemsPerSecond }) => itemsPerSecond);
      return {
        figures: [
          { name: `texts/s, ${counts.few} workers`, value: median(rates('few')), unit: '1/s' },
          { name: `texts/s, ${counts.many} workers`, value: median(rates('many')), unit: '1/s' },
          {
            name: `goodput of ${counts.many} workers / ${counts.few} workers, median of pairs`,
            value: medianRatio(rates('many'), rates('few')),
            unit: 'x',
            target: { atLeast: 0.8 },
          },
        ],
        samples: { workers: samples },
      };
    }),
  );
}
