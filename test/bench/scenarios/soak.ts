import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { processStatus } from '../../../apps/cli/src/control-sockets.ts';
import { startSmallSystem } from '../../kit/small-system.ts';
import type { Bench } from '../bench.ts';
import { bodyFile } from '../load/bodies.ts';
import { runLoad } from '../load/load.ts';
import { takeTurns } from '../measure/pairs.ts';
import { pssMb, readProcesses } from '../measure/process-table.ts';
import { describeSample, measureSide, throughSide } from '../measure/side.ts';
import { median, medianRatio, percentile } from '../measure/statistics.ts';
import type { Figure, Outcome, Scenario } from '../scenario.ts';
import { benchSettings, startBenchStack } from '../systems/bench-stack.ts';
import { watchEventLoops } from '../systems/event-loops.ts';

const clients = 64;
/** Length of one stretch of load between two looks at the memory. */
const sliceSeconds = 2;
const bigRequest = 2048;

/** What shows only over time, or with many workers, or with the largest requests. */
export const soak: Scenario = {
  name: 'soak',
  title: 'memory over many requests, pauses of event loops during 2,048-text requests, 64 workers beside 2',
  run: async bench => {
    const parts = [await memoryAndPauses(bench), await manyWorkers(bench)];
    return {
      figures: parts.flatMap(({ figures }) => figures),
      samples: Object.assign({}, ...parts.map(({ samples }) => samples)),
      notes: parts.flatMap(({ notes = [] }) => notes),
    };
  },
};

interface MemorySample {
  requests: number;
  gatewayMb: number;
  schedulerMb: number;
}

/** One worker and a scheduler before a fast model server: more requests in less time. */
async function memoryAndPauses(bench: Bench): Promise<Outcome> {
  const upstream = await bench.fast('embedding');
  const reranker = await bench.fast('reranker');
  const loops = watchEventLoops(join(bench.folder, 'event-loops'));
  const system = startSmallSystem({
    embeddingUrls: [upstream.url],
    rerankerUrls: [reranker.url],
    env: { ...benchSettings({ embedding: upstream.url, reranker: reranker.url }), ...loops.env },
  });
  return bench.using(system, async ({ url, key, folder }) => {
    const pids = processesOf();
    const load = (kind: { inputs: number; clients: number; seconds: number }, seed: number) =>
      runLoad({
        url: `${url}/v1/embeddings`,
        headers: { authorization: `Bearer ${key}` },
        bodies: bodyFile(bench.folder, { route: 'embeddings', inputs: kind.inputs, encoding: 'float' }),
        arrivals: { clients: kind.clients },
        seconds: kind.seconds,
        seed,
      });
    const memory: MemorySample[] = [];
    const wanted = bench.options.requests ?? 20_000;
    for (let requests = 0, slice = 0; requests < wanted; slice++) {
      const seconds = bench.options.isQuick ? 1 : sliceSeconds;
      requests += (await load({ inputs: 1, clients, seconds }, slice * 1000)).requests;
      const sample = { requests, gatewayMb: pssMb(pids.gateway), schedulerMb: pssMb(pids.scheduler) };
      memory.push(sample);
      bench.log(
        `${requests} requests: gateway ${sample.gatewayMb.toFixed(0)} MB, scheduler ${sample.schedulerMb.toFixed(0)} MB`,
      );
    }
    // Once without being watched: the code for large requests is compiled then.
    await load({ inputs: bigRequest, clients: 1, seconds: 2 }, 0);
    const since = Date.now();
    const big = await load({ inputs: bigRequest, clients: 1, seconds: bench.options.seconds ?? 8 }, 1);
    await delay(500); // the probes report four times a second
    const pauses = loops.pausesSince(since);
    const status = await processStatus(join(folder, 'run'), 'scheduler');
    const outcome: Outcome = {
      figures: [
        ...growth(
          'gateway',
          memory.map(({ gatewayMb }) => gatewayMb),
        ),
        ...growth(
          'scheduler',
          memory.map(({ schedulerMb }) => schedulerMb),
        ),
        ...['gateway', 'scheduler'].map((app): Figure => {
          const longest = pauses.filter(pause => pause.app === app).map(({ longestMs }) => longestMs);
          return {
            name: `longest pause of the ${app}'s event loop during ${big.requests} requests of 2,048 texts`,
            value: percentile(longest, 1),
            unit: 'ms',
            target: { atMost: 50 },
          };
        }),
        { name: 'texts/s in requests of 2,048', value: big.perSecond * bigRequest, unit: '1/s' },
      ],
      samples: { memory, pauses, big, status },
      notes: [`Memory over ${memory.at(-1)?.requests} requests.`],
    };
    return outcome;
  });
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

/** Two gateways before one vLLM, one with 64 workers: what do they cost when they all work? */
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
      // Every worker has to compile its code for itself.
      await measure(few, warmUpSeconds ?? 5, 0);
      await measure(many, warmUpSeconds ?? 40, 0);
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
