import { startFakeModel } from '../../kit/fake-model.ts';
import { type SmallSystem, startSmallSystem } from '../../kit/small-system.ts';
import type { Bench, Stoppable } from '../bench.ts';
import { bodyFile } from '../load/bodies.ts';
import { type Arrivals, type Destination, type LoadSample, runLoad } from '../load/load.ts';
import { takeTurns } from '../measure/pairs.ts';
import { median, medianRatio } from '../measure/statistics.ts';
import type { Figure, Outcome, Scenario } from '../scenario.ts';
import { benchSettings } from '../systems/bench-stack.ts';
import { startDeeperVllm } from '../systems/deeper-vllm.ts';

const path = '/v1/embeddings';
/** Shares of what the server can do directly, at which requests come at random times. */
const loads = [0.2, 0.5, 0.8];
const adaptive = 'adaptive';
/**
 * The same gateway, measured just before `adaptive`. While the others have their turns it rests for longer than it remembers, so it
 * begins to look anew each time.
 */
const adaptiveAtFirst = 'adaptive, at first';
const unbatched = 'unbatched';

/** Whether the scheduler finds by itself what the best fixed settings would be. */
export const clients: Scenario = {
  name: 'clients',
  title:
    'the adaptive window beside fixed windows and slots, 1 to 256 clients and Poisson arrivals, models of several costs',
  run: async bench => {
    const outcome: Outcome = { figures: [], samples: {}, notes: [] };
    const { models: wanted, isQuick } = bench.options;
    for (const [model, start] of Object.entries(models)) {
      if (wanted ? !wanted.includes(model) : isQuick && model === 'deeper') continue;
      bench.log(`model: ${model}`);
      await bench.using(start(bench), async ({ url }) => {
        const { figures, samples } = await measureModel(bench, model, url);
        outcome.figures.push(...figures);
        outcome.samples[model] = samples;
      });
    }
    return outcome;
  },
};

/** Model servers by what limits them: vLLM's front end, the compute of a model, and neither (it waits, as for a GPU). */
const models: Record<string, (bench: Bench) => Promise<Stoppable & { url: string }>> = {
  tiny: async bench => ({ url: (await bench.vllm('embedding')).url, stop: async () => {} }),
  deeper: () => startDeeperVllm(),
  // A front end of vLLM's cost before an engine of 15 ms a step.
  cost: () => startFakeModel({ overheadMs: 0.7, perInputMs: 0.25, stepMs: 15, keepAliveMs: 75_000 }),
};

/** Settings of the scheduler, by name. */
function settingsOf({ isFull, isQuick }: { isFull: boolean; isQuick: boolean }) {
  const windows = isQuick ? ['8'] : ['0', '4', '8', '15', '30'];
  const slots = isQuick ? [] : ['1', '4'];
  const of = (window: string | null, slot: string) => ({
    ER_BATCH_SLOTS: slot,
    ...(window !== null && { ER_BATCH_WINDOW_MS: window }),
  });
  const crossed = isFull ? slots.flatMap(slot => windows.map(window => [window, slot] as const)) : [];
  return {
    [adaptive]: {},
    ...Object.fromEntries(windows.map(window => [`window ${window} ms`, of(window, '2')])),
    ...Object.fromEntries(slots.map(slot => [`${slot} slots`, of(null, slot)])),
    ...Object.fromEntries(
      crossed.map(([window, slot]) => [`window ${window} ms, ${slot} slots`, of(window, slot)]),
    ),
    [unbatched]: { ER_BATCH_MAX_ITEMS: '1', ER_BATCH_SLOTS: '64', ER_BATCH_WINDOW_MS: '0' },
  } satisfies Record<string, Record<string, string>>;
}

/** One gateway for each setting, all before one model server; they are measured in turns and idle otherwise. */
async function measureModel(bench: Bench, model: string, upstream: string): Promise<Outcome> {
  const reranker = await bench.fast('reranker');
  const env = benchSettings({ embedding: upstream, reranker: reranker.url });
  const sides: Record<string, Destination> = { direct: { url: `${upstream}${path}` } };
  const systems: SmallSystem[] = [];
  const stop = async () => void (await Promise.all(systems.map(system => system.stop())));
  return bench.using(Promise.resolve({ stop }), async () => {
    for (const [name, settings] of Object.entries(settingsOf(bench.options))) {
      const system = await startSmallSystem({
        embeddingUrls: [upstream],
        rerankerUrls: [reranker.url],
        env: { ...env, ...settings },
      });
      systems.push(system);
      sides[name] = { url: `${system.url}${path}`, headers: { authorization: `Bearer ${system.key}` } };
    }
    const closed = await closedLoops(bench, model, sides);
    const open = await openLoops(bench, model, sides);
    return {
      figures: [...closed.figures, ...open.figures],
      samples: { closed: closed.samples, open: open.samples },
    };
  });
}

async function closedLoops(bench: Bench, model: string, all: Record<string, Destination>): Promise<Outcome> {
  const { options } = bench;
  const outcome: Outcome = { figures: [], samples: {} };
  const { direct, [adaptive]: chosen, ...fixed } = all;
  if (!direct || !chosen) throw new Error('a side is missing');
  const sides = { direct, [adaptiveAtFirst]: chosen, [adaptive]: chosen, ...fixed };
  const counts = options.clients ?? [1, 8, 64, 256];
  const measure = measureWith(bench);
  for (const destination of Object.values(all)) {
    await measure(destination, { clients: Math.max(...counts) }, 0, options.warmUpSeconds ?? 3);
  }
  for (const count of counts) {
    const name = `${model}, ${count} client${count === 1 ? '' : 's'}`;
    const samples = await takeTurns(
      measures(sides, (destination, seed) => measure(destination, { clients: count }, seed)),
      {
        rounds: options.pairs ?? 3,
        onSample: (side, sample) => logSample(bench, `${name}, ${side}`, sample),
      },
    );
    outcome.samples[count] = samples;
    outcome.figures.push(...closedFigures(name, samples));
  }
  return outcome;
}

/** Adaptive beside the best of the fixed settings: by goodput, and with one client, which has none, by p50. */
function closedFigures(name: string, samples: Record<string, LoadSample[]>): Figure[] {
  const rates = (side: string) => (samples[side] ?? []).map(({ perSecond }) => perSecond);
  const fixed = Object.keys(samples).filter(
    side => !['direct', adaptive, adaptiveAtFirst, unbatched].includes(side),
  );
  const best = fixed.reduce((one, other) => (median(rates(other)) > median(rates(one)) ? other : one));
  return [
    { name: `${name}: texts/s directly`, value: median(rates('direct')), unit: '1/s' },
    { name: `${name}: texts/s, adaptive`, value: median(rates(adaptive)), unit: '1/s' },
    {
      name: `${name}: adaptive / best fixed setting (${best}), median of rounds`,
      value: medianRatio(rates(adaptive), rates(best)),
      unit: 'x',
      target: { atLeast: 0.9 },
    },
    {
      name: `${name}: the same in its first seconds`,
      value: medianRatio(rates(adaptiveAtFirst), rates(best)),
      unit: 'x',
    },
    { name: `${name}: adaptive / directly`, value: medianRatio(rates(adaptive), rates('direct')), unit: 'x' },
  ];
}

async function openLoops(bench: Bench, model: string, all: Record<string, Destination>): Promise<Outcome> {
  const { options } = bench;
  const outcome: Outcome = { figures: [], samples: {} };
  const [direct, chosen, plain] = [all.direct, all[adaptive], all[unbatched]];
  if (!direct || !chosen || !plain) throw new Error('a side is missing');
  const sides = { direct, [unbatched]: plain, [adaptive]: chosen };
  const measure = measureWith(bench);
  const capacities: number[] = [];
  for (let round = 0; round < (options.pairs ?? 3); round++) {
    capacities.push((await measure(direct, { clients: 64 }, round)).perSecond);
  }
  const capacity = median(capacities);
  for (const load of loads) {
    const name = `${model}, Poisson arrivals at ${load * 100} % of capacity`;
    const samples = await takeTurns(
      measures(sides, (destination, seed) =>
        measure(destination, { perSecond: capacity * load }, seed, 2 * (options.seconds ?? 4)),
      ),
      {
        rounds: options.pairs ?? 3,
        onSample: (side, sample) => logSample(bench, `${name}, ${side}`, sample),
      },
    );
    outcome.samples[load] = { capacity, ...samples };
    const p50 = (side: string) => (samples[side] ?? []).map(({ p50Ms }) => p50Ms);
    outcome.figures.push(
      { name: `${name}: p50 directly`, value: median(p50('direct')), unit: 'ms' },
      { name: `${name}: p50, adaptive`, value: median(p50(adaptive)), unit: 'ms' },
      {
        name: `${name}: p50 adaptive / through the gateway without batches`,
        value: medianRatio(p50(adaptive), p50(unbatched)),
        unit: 'x',
        target: { atMost: 1.05 },
      },
      {
        name: `${name}: p50 adaptive / directly`,
        value: medianRatio(p50(adaptive), p50('direct')),
        unit: 'x',
      },
    );
  }
  return outcome;
}

function measureWith(bench: Bench) {
  const bodies = bodyFile(bench.folder, { route: 'embeddings', inputs: 1, encoding: 'base64' });
  const seconds = bench.options.seconds ?? 4;
  return (
    destination: Destination,
    arrivals: Arrivals,
    seed: number,
    length = seconds,
  ): Promise<LoadSample> => runLoad({ ...destination, bodies, arrivals, seconds: length, seed });
}

/** The same seed for all sides of a round: the same pauses between requests. */
const measures = <Sides extends Record<string, Destination>>(
  sides: Sides,
  measure: (destination: Destination, seed: number) => Promise<LoadSample>,
) =>
  Object.fromEntries(
    Object.entries(sides).map(([name, destination]) => [
      name,
      (round: number) => measure(destination, round * 1000 + 1),
    ]),
  ) as Record<string, (round: number) => Promise<LoadSample>>;

const logSample = (bench: Bench, what: string, { perSecond, p50Ms }: LoadSample) =>
  bench.log(`${what}: ${Math.round(perSecond)}/s, p50 ${p50Ms.toFixed(1)} ms`);
