import { bodyFile } from '../load/bodies.ts';
import { type Destination, type LoadSample, runLoad } from '../load/load.ts';
import { takeTurns } from '../measure/pairs.ts';
import { allCores, otherCores, pin } from '../measure/pin.ts';
import { median, medianRatio } from '../measure/statistics.ts';
import type { Figure, Outcome, Scenario } from '../scenario.ts';
import { startBareProxy } from '../systems/bare-proxy.ts';
import { startBenchStack } from '../systems/bench-stack.ts';

const manyClients = 64;
const ourCore = '0';
/** V8 makes the gateway's code fast over its first 50,000 requests or so; what is of interest is the gateway that has run for a minute. */
const usualWarmUpSeconds = 20;

/**
 * The gateway's own cost, in front of a model server that has none, beside that of a proxy that only copies bytes. For
 * requests a second all parts of each are on one core, the load generator and the model server on the others; for the
 * time added to a lone request everything may run anywhere.
 */
export const overhead: Scenario = {
  name: 'overhead',
  title:
    'a fast fake model server, 22 KB float answers: added p50, and requests/s on one core, beside a bare Express proxy',
  run: async bench => {
    const { seconds, pairs, warmUpSeconds } = bench.options;
    const upstream = await bench.fast('embedding');
    const bare = await bench.keep(startBareProxy(upstream.url));
    const bodies = bodyFile(bench.folder, { route: 'embeddings', inputs: 1, encoding: 'float' });
    return bench.using(startBenchStack(bench, { workers: 1, embedding: upstream.url }), async stack => {
      const path = '/v1/embeddings';
      const sides: Record<'direct' | 'bare' | 'gateway', Destination> = {
        direct: { url: `${upstream.url}${path}` },
        bare: { url: `${bare.url}${path}` },
        gateway: { url: `${stack.url}${path}`, headers: stack.headers },
      };
      const inTurns = async (what: string, clients: number, cores: string) => {
        const measure = (side: keyof typeof sides, length: number, seed: number) =>
          runLoad({ ...sides[side], bodies, arrivals: { clients }, seconds: length, seed, cores });
        const names = Object.keys(sides) as (keyof typeof sides)[];
        for (const side of names) await measure(side, warmUpSeconds ?? usualWarmUpSeconds, 0);
        return takeTurns(
          {
            direct: round => measure('direct', seconds ?? 4, round * 1000 + 1),
            bare: round => measure('bare', seconds ?? 4, round * 1000 + 301),
            gateway: round => measure('gateway', seconds ?? 4, round * 1000 + 601),
          },
          {
            // The machine's own speed changes by a fifth from sample to sample.
            rounds: pairs ?? 9,
            onSample: (side, { perSecond, p50Ms }) =>
              bench.log(`${what}, ${side}: ${Math.round(perSecond)}/s, p50 ${Math.round(p50Ms * 1000)} us`),
          },
        );
      };
      pin([...stack.pids(), ...bare.pids], ourCore);
      pin([upstream.pid], otherCores());
      const before = (await stack.scheduler()).lanes.embedding;
      const pinned = await inTurns(`${manyClients} clients, one core`, manyClients, otherCores());
      const after = (await stack.scheduler()).lanes.embedding;
      pin([...stack.pids(), ...bare.pids, upstream.pid], allCores());
      const alone = await inTurns('1 client', 1, allCores());
      const textsInCall = (after.items - before.items) / (after.calls - before.calls);
      const figures: Figure[] = [
        ...figuresOf(alone, pinned),
        { name: 'texts in a call to the model server, 64 connections', value: textsInCall, unit: '' },
      ];
      const outcome: Outcome = { figures, samples: { alone, pinned } };
      return outcome;
    });
  },
};

type Samples = Record<'direct' | 'bare' | 'gateway', LoadSample[]>;

function figuresOf(alone: Samples, pinned: Samples): Figure[] {
  const added = (side: 'bare' | 'gateway') =>
    alone[side].map(({ p50Ms }, round) => (p50Ms - (alone.direct[round]?.p50Ms ?? 0)) * 1000);
  const rates = (side: keyof Samples) => pinned[side].map(({ perSecond }) => perSecond);
  return [
    { name: 'added to p50 by the bare proxy, 1 client', value: median(added('bare')), unit: 'us' },
    { name: 'added to p50 by the gateway, 1 client', value: median(added('gateway')), unit: 'us' },
    {
      name: 'added to p50, gateway / bare proxy',
      value: medianRatio(added('gateway'), added('bare')),
      unit: 'x',
      target: { atMost: 2 },
    },
    { name: 'requests/s without any proxy, 64 connections', value: median(rates('direct')), unit: '1/s' },
    { name: 'requests/s on one core, bare proxy', value: median(rates('bare')), unit: '1/s' },
    { name: 'requests/s on one core, gateway and scheduler', value: median(rates('gateway')), unit: '1/s' },
    {
      name: 'requests/s on one core, gateway / bare proxy',
      value: medianRatio(rates('gateway'), rates('bare')),
      unit: 'x',
      target: { atLeast: 1 },
    },
  ];
}
