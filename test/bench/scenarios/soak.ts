import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { processStatus } from '../../../apps/cli/src/control-sockets.ts';
import { startSmallSystem } from '../../kit/small-system.ts';
import type { Bench } from '../bench.ts';
import { bodyFile } from '../load/bodies.ts';
import { runLoad } from '../load/load.ts';
import { pssMb, readProcesses } from '../measure/process-table.ts';
import { median, percentile } from '../measure/statistics.ts';
import type { Figure, Outcome, Scenario } from '../scenario.ts';
import { benchSettings } from '../systems/bench-stack.ts';
import { watchEventLoops } from '../systems/event-loops.ts';

const clients = 64;
/** Length of one stretch of load between two looks at the memory. */
const sliceSeconds = 2;
const bigRequest = 2048;
const bigRequests = 10;

/** What shows only over time, or with the largest requests. One worker and a fast model server: more requests in less time. */
export const soak: Scenario = {
  name: 'soak',
  title:
    'a fast fake model server: memory over many requests, pauses of event loops during 2,048-text requests',
  run: memoryAndPauses,
};

interface MemorySample {
  requests: number;
  gatewayMb: number;
  schedulerMb: number;
}

/** Where the requests go. */
interface Gateway {
  url: string;
  headers: Record<string, string>;
}

async function memoryAndPauses(bench: Bench): Promise<Outcome> {
  const [upstream, reranker] = [await bench.fast('embedding'), await bench.fast('reranker')];
  const loops = watchEventLoops(join(bench.folder, 'event-loops'));
  const system = startSmallSystem({
    embeddingUrls: [upstream.url],
    rerankerUrls: [reranker.url],
    env: { ...benchSettings({ embedding: upstream.url, reranker: reranker.url }), ...loops.env },
  });
  return bench.using(system, async ({ url, key, folder }) => {
    const gateway = { url: `${url}/v1/embeddings`, headers: { authorization: `Bearer ${key}` } };
    const memory = await memoryOverRequests(bench, gateway);
    const since = Date.now();
    const count = bench.options.isQuick ? 2 : bigRequests;
    for (let sent = 0; sent < count; sent++) await sendBig(bench, gateway);
    const seconds = (Date.now() - since) / 1000;
    await delay(500); // the probes report four times a second
    const pauses = loops.pausesSince(since);
    const during = `during ${count} requests of 2,048 texts`;
    const pausesOf = (app: string): Figure[] => {
      const own = pauses.filter(pause => pause.app === app);
      const longest = (name: 'longestMs' | 'longestBusyMs') =>
        percentile(
          own.map(pause => pause[name]),
          1,
        );
      return [
        {
          name: `longest pause of the ${app}'s event loop by its own work, ${during}`,
          value: longest('longestBusyMs'),
          unit: 'ms',
          target: { atMost: 50 },
        },
        {
          name: `the same, waiting for a core included, ${app}`,
          value: longest('longestMs'),
          unit: 'ms',
        },
      ];
    };
    const memoryOf = (name: 'gatewayMb' | 'schedulerMb') => memory.map(sample => sample[name]);
    return {
      figures: [
        ...growth('gateway', memoryOf('gatewayMb')),
        ...growth('scheduler', memoryOf('schedulerMb')),
        ...pausesOf('gateway'),
        ...pausesOf('scheduler'),
        { name: 'texts/s in requests of 2,048', value: (count * bigRequest) / seconds, unit: '1/s' },
      ],
      samples: { memory, pauses, status: await processStatus(join(folder, 'run'), 'scheduler') },
      notes: [`Memory over ${memory.at(-1)?.requests} requests.`],
    };
  });
}

/** Load in stretches, with a look at the memory after each; then one large request, whose code is compiled with it. */
async function memoryOverRequests(bench: Bench, gateway: Gateway): Promise<MemorySample[]> {
  const { requests: wanted, isQuick } = bench.options;
  const bodies = bodyFile(bench.folder, { route: 'embeddings', inputs: 1, encoding: 'float' });
  const pids = processesOf();
  const memory: MemorySample[] = [];
  let requests = 0;
  while (requests < (wanted ?? 20_000)) {
    const seconds = isQuick ? 1 : sliceSeconds;
    const plan = { ...gateway, bodies, arrivals: { clients }, seconds, seed: requests };
    requests += (await runLoad(plan)).requests;
    const sample = { requests, gatewayMb: pssMb(pids.gateway), schedulerMb: pssMb(pids.scheduler) };
    memory.push(sample);
    const [front, back] = [sample.gatewayMb, sample.schedulerMb].map(Math.round);
    bench.log(`${requests} requests: gateway ${front} MB, scheduler ${back} MB`);
  }
  await sendBig(bench, gateway);
  return memory;
}

/** Sends one of the largest requests and reads its answer, 27 MB of floats, without keeping it. */
async function sendBig(bench: Bench, { url, headers }: Gateway): Promise<void> {
  const file = bodyFile(bench.folder, { route: 'embeddings', inputs: bigRequest, encoding: 'float' });
  const [body = ''] = readFileSync(file, 'utf8').split('\n', 1);
  const answer = await fetch(url, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body,
  });
  if (!answer.ok || !answer.body) throw new Error(`a request of ${bigRequest} texts got ${answer.status}`);
  for await (const _ of answer.body);
}

/** Memory of late beside memory after the start: the last third of the samples and the one before. */
function growth(app: string, memoryMb: number[]): Figure[] {
  const third = Math.max(1, Math.floor(memoryMb.length / 3));
  const late = median(memoryMb.slice(-third));
  const before = median(memoryMb.length === 1 ? memoryMb : memoryMb.slice(-2 * third, -third));
  return [
    { name: `memory of the ${app} at the end`, value: late, unit: 'MB' },
    {
      name: `memory of the ${app}, last third of the requests / second third`,
      value: late / before,
      unit: 'x',
      target: { atMost: 1.05 },
    },
  ];
}

/** Gateway and scheduler of the small system, which is the only one now. */
function processesOf(): Record<'gateway' | 'scheduler', number> {
  const find = (app: string) => {
    const found = readProcesses().find(
      ({ command, parent }) => parent === process.pid && command.includes(`apps/${app}/src/main.ts`),
    );
    if (!found) throw new Error(`no ${app} runs`);
    return found.pid;
  };
  return { gateway: find('gateway'), scheduler: find('scheduler') };
}
