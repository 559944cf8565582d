import type { Bench } from '../bench.ts';
import { bodyFile } from '../load/bodies.ts';
import { type Destination, type LoadSample, runLoad } from '../load/load.ts';
import { takeTurns } from '../measure/pairs.ts';
import { otherCores, pin } from '../measure/pin.ts';
import { median, medianRatio } from '../measure/statistics.ts';
import { litellm } from '../rivals/litellm.ts';
import { nginx } from '../rivals/nginx.ts';
import type { Rival } from '../rivals/rival.ts';
import { sglangRouter } from '../rivals/sglang-router.ts';
import type { Figure, Outcome, Scenario } from '../scenario.ts';
import type { ProxyServer } from '../systems/bare-proxy.ts';
import { startBenchStack } from '../systems/bench-stack.ts';

const clients = 64;
const path = '/v1/embeddings';
const ourCore = '0';
/** LiteLLM takes a second or more for its first answers to 64 clients. */
const shortestSeconds = 4;
const all: readonly Rival[] = [nginx, sglangRouter, litellm];

/** Proxies that others use, beside the gateway: none of them batches. */
export const rivals: Scenario = {
  name: 'rivals',
  title:
    'nginx, sglang-router and LiteLLM beside the gateway: goodput before a real vLLM, requests/s on one core, in turns',
  run: async bench => {
    const outcome: Outcome = { figures: [], samples: {}, notes: [] };
    const present = await installed(outcome);
    const vllm = await bench.vllm('embedding');
    for (const encoding of ['float', 'base64'] as const) {
      const samples = await before(bench, vllm.url, present, 2, sides => inTurns(bench, sides, encoding));
      outcome.samples[`goodput ${encoding}`] = samples;
      outcome.figures.push(...goodputFigures(encoding, samples));
    }
    const fast = await bench.fast('embedding');
    const samples = await before(bench, fast.url, present, 1, async (sides, pids) => {
      pin(pids, ourCore);
      pin([fast.pid], otherCores());
      return inTurns(bench, sides, 'float', otherCores());
    });
    outcome.samples['one core'] = samples;
    outcome.figures.push(
      ...Object.entries(samples).map(
        ([side, taken]): Figure => ({
          name: `requests/s on one core, 22 KB answers: ${side}`,
          value: median(taken.map(({ perSecond }) => perSecond)),
          unit: '1/s',
        }),
      ),
    );
    return outcome;
  },
};

/** Those that can be had here; of the others the reason is noted. */
async function installed(outcome: Outcome): Promise<Rival[]> {
  const present: Rival[] = [];
  for (const rival of all) {
    try {
      outcome.notes?.push(`${rival.name} ${await rival.install()}`);
      present.push(rival);
    } catch (error) {
      outcome.notes?.push(`${rival.name} is missing: ${(error as Error).message.split('\n')[0]}`);
    }
  }
  return present;
}

type Sides = Record<string, Destination>;

/** Starts the gateway and its rivals before a model server, runs `work` with the ways to it, and ends them. */
async function before<Result>(
  bench: Bench,
  upstream: string,
  present: readonly Rival[],
  workers: number,
  work: (sides: Sides, pids: number[]) => Promise<Result>,
): Promise<Result> {
  const proxies: ProxyServer[] = [];
  const stop = async () => void (await Promise.all(proxies.map(proxy => proxy.stop())));
  return bench.using(startBenchStack(bench, { workers, embedding: upstream }), stack =>
    bench.using(Promise.resolve({ stop }), async () => {
      const sides: Sides = {
        direct: { url: `${upstream}${path}` },
        gateway: { url: `${stack.url}${path}`, headers: stack.headers },
      };
      for (const { name, start } of present) {
        bench.log(`starting ${name}`);
        const proxy = await start(upstream, bench.folder);
        proxies.push(proxy);
        sides[name] = { url: `${proxy.url}${path}` };
      }
      return work(sides, [...stack.pids(), ...proxies.flatMap(({ pids }) => pids)]);
    }),
  );
}

async function inTurns(
  bench: Bench,
  sides: Sides,
  encoding: 'float' | 'base64',
  cores?: string,
): Promise<Record<string, LoadSample[]>> {
  const { pairs } = bench.options;
  const seconds = Math.max(shortestSeconds, bench.options.seconds ?? 6);
  const warmUpSeconds = Math.max(shortestSeconds, bench.options.warmUpSeconds ?? 5);
  const bodies = bodyFile(bench.folder, { route: 'embeddings', inputs: 1, encoding });
  const measure = (name: string, length: number, seed: number) =>
    runLoad({
      ...(sides[name] as Destination),
      bodies,
      arrivals: { clients },
      seconds: length,
      seed,
      ...(cores && { cores }),
      mayFail: name !== 'direct' && name !== 'gateway',
    });
  const names = Object.keys(sides);
  for (const name of names) await measure(name, warmUpSeconds, 0);
  const measures = Object.fromEntries(
    names.map(name => [name, (round: number) => measure(name, seconds, round * 1000 + 1)]),
  );
  return takeTurns<string, LoadSample>(measures, {
    rounds: pairs ?? 3,
    onSample: (side, { perSecond, p50Ms, failed }) =>
      bench.log(
        `${encoding} ${side}: ${Math.round(perSecond)}/s, ${failed} failed, p50 ${p50Ms.toFixed(1)} ms`,
      ),
  });
}

function goodputFigures(encoding: string, samples: Record<string, LoadSample[]>): Figure[] {
  const rates = (side: string) => (samples[side] ?? []).map(({ perSecond }) => perSecond);
  const failedOf = (side: string) => (samples[side] ?? []).reduce((sum, { failed }) => sum + failed, 0);
  return Object.keys(samples).flatMap((side): Figure[] => [
    { name: `${encoding}: texts/s, ${side}`, value: median(rates(side)), unit: '1/s' },
    ...(side === 'direct'
      ? []
      : [
          {
            name: `${encoding}: ${side} / directly, median of rounds`,
            value: medianRatio(rates(side), rates('direct')),
            unit: 'x' as const,
          },
        ]),
    ...(failedOf(side) > 0
      ? [{ name: `${encoding}: failed requests, ${side}`, value: failedOf(side), unit: '' as const }]
      : []),
  ]);
}
