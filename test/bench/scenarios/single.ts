import { bodyFile } from '../load/bodies.ts';
import { takeTurns } from '../measure/pairs.ts';
import { describeSample, directSide, measureSide, throughSide } from '../measure/side.ts';
import { median, medianRatio } from '../measure/statistics.ts';
import type { Outcome, Scenario } from '../scenario.ts';
import { startBenchStack } from '../systems/bench-stack.ts';

/**
 * Load before the first sample: V8 makes code fast over its first thousands of calls, a lone client makes eighty a second, and what is
 * of interest is the gateway that has run for a while. Both sides get it.
 */
const warmUp = { clients: 64, seconds: 10 };

/** What a lone caller pays for the gateway: batching must cost those nothing who cannot gain by it. */
export const single: Scenario = {
  name: 'single',
  title:
    'one client alone, one 10-word text a request, a real vLLM: through the gateway and directly, in turns',
  run: async bench => {
    const { seconds, pairs, warmUpSeconds } = bench.options;
    const vllm = await bench.vllm('embedding');
    return bench.using(startBenchStack(bench, { embedding: vllm.url }), async stack => {
      const outcome: Outcome = { figures: [], samples: {} };
      for (const encoding of ['float', 'base64'] as const) {
        const bodies = bodyFile(bench.folder, { route: 'embeddings', inputs: 1, encoding });
        const measure = (side: typeof direct, length: number, seed: number, clients = 1) =>
          measureSide(side, { bodies, arrivals: { clients }, seconds: length, seed });
        const direct = directSide(vllm, '/v1/embeddings');
        const through = throughSide(stack, vllm, 'embedding', '/v1/embeddings');
        for (const side of [direct, through])
          await measure(side, warmUpSeconds ?? warmUp.seconds, 0, warmUp.clients);
        const samples = await takeTurns(
          {
            direct: round => measure(direct, seconds ?? 4, round * 1000 + 1),
            through: round => measure(through, seconds ?? 4, round * 1000 + 501),
          },
          {
            rounds: pairs ?? 5,
            onSample: (side, sample) => bench.log(`${encoding} ${side}: ${describeSample(sample)}`),
          },
        );
        const p50 = (side: 'direct' | 'through') => samples[side].map(({ p50Ms }) => p50Ms);
        outcome.samples[encoding] = samples;
        outcome.figures.push(
          { name: `${encoding}: p50 directly`, value: median(p50('direct')), unit: 'ms' },
          { name: `${encoding}: p50 through the gateway`, value: median(p50('through')), unit: 'ms' },
          {
            name: `${encoding}: p50 through / directly, median of pairs`,
            value: medianRatio(p50('through'), p50('direct')),
            unit: 'x',
            target: { atMost: 1.15 },
          },
        );
      }
      return outcome;
    });
  },
};
