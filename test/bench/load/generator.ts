import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { type Dispatcher, Pool } from 'undici';
import { percentile } from '../measure/statistics.ts';
import type { LoadPlan } from './load.ts';
import { seededRandom } from './random.ts';
import type { RawSample } from './wrk.ts';

/** The load generator's program: `generator.ts PLAN` (a LoadPlan in JSON); prints a RawSample. Answers are not parsed. */

/** Open loops open more connections as they need them, up to this many. */
const mostConnections = 1024;
/** Waits for open answers after the last arrival, at most this long. */
const drainMs = 60_000;

const plan = JSON.parse(process.argv[2] ?? '{}') as LoadPlan;
const { origin, pathname } = new URL(plan.url);
const headers = { 'content-type': 'application/json', ...plan.headers };
const bodies = readFileSync(plan.bodies, 'utf8')
  .trimEnd()
  .split('\n')
  .map(line => Buffer.from(line));
const pool = new Pool(origin, {
  connections: 'clients' in plan.arrivals ? plan.arrivals.clients : mostConnections,
  pipelining: 1,
  headersTimeout: 0,
  bodyTimeout: 0,
});
const latenciesMs: number[] = [];
let [place, bytes, badStatus, broken] = [plan.seed % bodies.length, 0, 0, 0];

const begin = performance.now();
const cpuBefore = process.cpuUsage();
await ('clients' in plan.arrivals ? closedLoop(plan.arrivals.clients) : openLoop(plan.arrivals.perSecond));
const { user, system } = process.cpuUsage(cpuBefore);
const sample: RawSample = {
  generator: 'node',
  requests: latenciesMs.length + badStatus + broken,
  seconds: (performance.now() - begin) / 1000,
  bytes,
  badStatus,
  broken,
  p50Ms: percentile(latenciesMs, 0.5),
  p95Ms: percentile(latenciesMs, 0.95),
  p99Ms: percentile(latenciesMs, 0.99),
  maxMs: percentile(latenciesMs, 1),
  generatorUs: (user + system) / Math.max(1, latenciesMs.length),
};
console.log(JSON.stringify(sample));
await pool.destroy();

/** Clients that each send the next request when the last one was answered. */
async function closedLoop(clients: number): Promise<void> {
  const end = begin + plan.seconds * 1000;
  const client = async () => {
    while (performance.now() < end) await send();
  };
  await Promise.all(Array.from({ length: clients }, client));
}

/** Requests at random times (Poisson), however long the answers take. A late timer sends all that are due. */
async function openLoop(perSecond: number): Promise<void> {
  const random = seededRandom(plan.seed);
  const answers: Promise<void>[] = [];
  const end = plan.seconds * 1000;
  let dueMs = 0;
  for (;;) {
    dueMs += (-Math.log(1 - random()) / perSecond) * 1000;
    if (dueMs > end) break;
    const waitMs = begin + dueMs - performance.now();
    if (waitMs > 0) await delay(waitMs);
    answers.push(send());
  }
  await Promise.race([Promise.all(answers), delay(drainMs, null, { ref: false })]);
}

/** Sends the next body; resolves when its answer has ended, or has failed, which is counted. */
function send(): Promise<void> {
  place = (place + 1) % bodies.length;
  const body = bodies[place] as Buffer;
  const sentAt = performance.now();
  return new Promise(resolve => {
    let status = 0;
    const handler: Dispatcher.DispatchHandler = {
      onResponseStart: (_controller, statusCode) => {
        status = statusCode;
      },
      onResponseData: (_controller, chunk) => {
        bytes += chunk.length;
      },
      onResponseEnd: () => {
        if (status < 400) latenciesMs.push(performance.now() - sentAt);
        else badStatus++;
        resolve();
      },
      onResponseError: () => {
        broken++;
        resolve();
      },
    };
    pool.dispatch({ path: pathname, method: 'POST', headers, body }, handler);
  });
}
