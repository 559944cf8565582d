import { availableParallelism } from 'node:os';
import type { Bench } from '../bench.ts';
import { bodyFile } from '../load/bodies.ts';
import { takeTurns } from '../measure/pairs.ts';
import { describeSample, directSide, measureSide, type SideSample, throughSide } from '../measure/side.ts';
import { median, medianRatio } from '../measure/statistics.ts';
import type { Figure, Outcome, Scenario } from '../scenario.ts';
import { startBenchStack } from '../systems/bench-stack.ts';

const clients = 64;
/** With many cores the gateway does not take from the model server what it saves it. */
const manyCores = 8;
const targets = {
  float: { ratio: 1.3, worst: 1 },
  base64: { ratio: 1.6, worst: 1.2 },
};

/** What the project exists for: many callers with one text each. */
export const goodput: Scenario = {
  name: 'goodput',
  title:
    '64 clients, one 10-word text a request, a real vLLM with orjson: through the gateway and directly, in turns',
  run: async bench => {
    const vllm = await bench.vllm('embedding');
    return bench.using(startBenchStack(bench, { embedding: vllm.url }), async stack => {
      const results: Outcome = { figures: [], samples: {}, notes: [] };
      const { tokenizes } = (await stack.scheduler()).lanes.embedding;
      results.notes?.push(`Texts are tokenized by ${tokenizes}.`);
      for (const encoding of ['float', 'base64'] as const) {
        const sides = {
          direct: directSide(vllm, '/v1/embeddings'),
          through: throughSide(stack, vllm, 'embedding', '/v1/embeddings'),
        };
        const samples = await compare(bench, sides, encoding);
        results.samples[encoding] = samples;
        results.figures.push(...figuresOf(encoding, samples));
      }
      return results;
    });
  },
};

type Sides = Record<'direct' | 'through', ReturnType<typeof directSide>>;

async function compare(bench: Bench, { direct, through }: Sides, encoding: 'float' | 'base64') {
  const { seconds, pairs, warmUpSeconds } = bench.options;
  const bodies = bodyFile(bench.folder, { route: 'embeddings', inputs: 1, encoding });
  const measure = (side: typeof direct, length: number, seed: number) =>
    measureSide(side, { bodies, arrivals: { clients }, seconds: length, seed });
  for (const side of [direct, through]) await measure(side, warmUpSeconds ?? 5, 0);
  return takeTurns(
    {
      direct: round => measure(direct, seconds ?? 6, round * 1000 + 1),
      through: round => measure(through, seconds ?? 6, round * 1000 + 501),
    },
    {
      rounds: pairs ?? 7,
      onSample: (side, sample) => bench.log(`${encoding} ${side}: ${describeSample(sample)}`),
    },
  );
}

function figuresOf(
  encoding: 'float' | 'base64',
  { direct, through }: Record<'direct' | 'through', SideSample[]>,
): Figure[] {
  const rates = (samples: SideSample[]) => samples.map(sample => sample.itemsPerSecond);
  const api = (samples: SideSample[]) => samples.map(({ cpuMsPerItem }) => cpuMsPerItem.vllmApi ?? 0);
  const { ratio, worst } = targets[encoding];
  const atLeast = availableParallelism() >= manyCores ? 2.5 : ratio;
  return [
    { name: `${encoding}: texts/s directly`, value: median(rates(direct)), unit: '1/s' },
    { name: `${encoding}: texts/s through the gateway`, value: median(rates(through)), unit: '1/s' },
    {
      name: `${encoding}: goodput through / directly, median of pairs`,
      value: medianRatio(rates(through), rates(direct)),
      unit: 'x',
      target: { atLeast },
    },
    {
      name: `${encoding}: worst sample through / best sample directly`,
      value: Math.min(...rates(through)) / Math.max(...rates(direct)),
      unit: 'x',
      target: { atLeast: worst },
    },
    {
      name: `${encoding}: CPU of vLLM's API process per text, directly / through`,
      value: medianRatio(api(direct), api(through)),
      unit: 'x',
      target: { atLeast: 2.5 },
    },
    {
      name: `${encoding}: CPU of gateway and scheduler per text`,
      value: median(
        through.map(
          ({ cpuMsPerItem: { gateway = 0, scheduler = 0, others = 0 } }) => gateway + scheduler + others,
        ),
      ),
      unit: 'ms',
    },
    { name: `${encoding}: p50 directly`, value: median(direct.map(({ p50Ms }) => p50Ms)), unit: 'ms' },
    { name: `${encoding}: p50 through`, value: median(through.map(({ p50Ms }) => p50Ms)), unit: 'ms' },
    { name: `${encoding}: p95 directly`, value: median(direct.map(({ p95Ms }) => p95Ms)), unit: 'ms' },
    { name: `${encoding}: p95 through`, value: median(through.map(({ p95Ms }) => p95Ms)), unit: 'ms' },
    {
      name: `${encoding}: texts in a call to vLLM`,
      value: median(through.map(({ meanBatch = 0 }) => meanBatch)),
      unit: '',
    },
  ];
}
