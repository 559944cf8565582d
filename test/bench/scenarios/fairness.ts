import { setTimeout as delay } from 'node:timers/promises';
import { newKey } from '@er-gateway/shared/keys/ensure-key-file';
import type { Bench } from '../bench.ts';
import { bodyFile } from '../load/bodies.ts';
import { type Destination, type LoadSample, runLoad } from '../load/load.ts';
import { takeTurns } from '../measure/pairs.ts';
import { median } from '../measure/statistics.ts';
import type { Scenario } from '../scenario.ts';
import { addKey, type BenchStack, startBenchStack } from '../systems/bench-stack.ts';

/** Texts in each request of the flood: the most that one may hold. */
const floodInputs = 2048;
/** Requests of the flood under way at once. */
const floodClients = 2;
/** The flood is under way before, and until after, the other key is measured. */
const floodHeadSeconds = 2;

interface FloodedSample extends LoadSample {
  /** Times of calls to vLLM, looked up during the flood. */
  batchMs: number[];
  floodTextsPerSecond: number;
}

/** What a key that floods does to another key's single texts; and without a gateway. */
export const fairness: Scenario = {
  name: 'fairness',
  title:
    'p95 of one key with single texts, alone and while another key floods with 2,048-text requests, in turns',
  run: async bench => {
    const { seconds, pairs, warmUpSeconds } = bench.options;
    const vllm = await bench.vllm('embedding');
    return bench.using(startBenchStack(bench, { embedding: vllm.url }), async stack => {
      const victim = newKey();
      await addKey(stack, victim);
      const through = (key: string): Destination => ({
        url: `${stack.url}/v1/embeddings`,
        headers: { authorization: `Bearer ${key}` },
      });
      const direct: Destination = { url: `${vllm.url}/v1/embeddings` };
      const length = seconds ?? 8;
      const gatewayAlone = (seed: number, time = length) => singles(bench, through(victim), time, seed);
      await gatewayAlone(0, warmUpSeconds ?? 4);
      const samples = await takeTurns<string, LoadSample | FloodedSample>(
        {
          'gateway, alone': round => gatewayAlone(round),
          'gateway, flooded': round =>
            flooded(bench, { flood: through(stack.key), single: through(victim), stack }, length, round),
          'directly, alone': round => singles(bench, direct, length, round),
          'directly, flooded': round =>
            flooded(bench, { flood: direct, single: direct, stack }, length, round),
        },
        {
          rounds: pairs ?? 3,
          onSample: (side, { p50Ms, p95Ms }) =>
            bench.log(`${side}: p50 ${p50Ms.toFixed(1)} ms, p95 ${p95Ms.toFixed(1)} ms`),
        },
      );
      const p95 = (side: string) => (samples[side] ?? []).map(({ p95Ms }) => p95Ms);
      const batchMs = (samples['gateway, flooded'] ?? []).map(sample =>
        'batchMs' in sample ? median(sample.batchMs) : Number.NaN,
      );
      const movedMs = p95('gateway, flooded').map(
        (value, round) => value - (p95('gateway, alone')[round] ?? 0),
      );
      return {
        figures: [
          { name: 'p95 alone, through the gateway', value: median(p95('gateway, alone')), unit: 'ms' },
          {
            name: 'p95 under the flood, through the gateway',
            value: median(p95('gateway, flooded')),
            unit: 'ms',
          },
          { name: 'time of a batch under the flood', value: median(batchMs), unit: 'ms' },
          {
            name: 'rise of p95 / time of a batch',
            value: median(movedMs.map((ms, round) => ms / (batchMs[round] ?? Number.NaN))),
            unit: 'x',
            target: { atMost: 1.2 },
          },
          { name: 'p95 alone, directly', value: median(p95('directly, alone')), unit: 'ms' },
          { name: 'p95 under the flood, directly', value: median(p95('directly, flooded')), unit: 'ms' },
        ],
        samples,
        notes: [`The flood: ${floodClients} requests of ${floodInputs} ten-word texts under way at once.`],
      };
    });
  },
};

function singles(bench: Bench, destination: Destination, seconds: number, seed: number): Promise<LoadSample> {
  const bodies = bodyFile(bench.folder, { route: 'embeddings', inputs: 1, encoding: 'base64' });
  return runLoad({ ...destination, bodies, arrivals: { clients: 1 }, seconds, seed });
}

interface FloodSides {
  flood: Destination;
  single: Destination;
  stack: BenchStack;
}

async function flooded(
  bench: Bench,
  { flood, single, stack }: FloodSides,
  seconds: number,
  seed: number,
): Promise<FloodedSample> {
  const bodies = bodyFile(bench.folder, { route: 'embeddings', inputs: floodInputs, encoding: 'base64' });
  const flooding = runLoad({
    ...flood,
    bodies,
    arrivals: { clients: floodClients },
    seconds: seconds + 2 * floodHeadSeconds,
    seed,
  });
  await delay(floodHeadSeconds * 1000);
  const watch = watchBatches(stack);
  const sample = await singles(bench, single, seconds, seed);
  const batchMs = watch.end();
  const { perSecond } = await flooding;
  await stack.settled();
  return { ...sample, batchMs, floodTextsPerSecond: perSecond * floodInputs };
}

/** Looks at the scheduler's mean time of a call ten times a second. */
function watchBatches(stack: BenchStack): { end: () => number[] } {
  const seen: number[] = [];
  const timer = setInterval(async () => {
    const status = await stack.scheduler().catch(() => null);
    const latencyMs = status?.models.embedding.upstreams[0]?.latencyMs;
    if (latencyMs) seen.push(latencyMs);
  }, 100);
  return {
    end: () => {
      clearInterval(timer);
      return seen;
    },
  };
}
