import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type { ModelsStatus } from '@er-gateway/shared/scheduler-protocol';
import { Agent, fetch, type Headers } from 'undici';
import { type FakeModel, startFakeModel } from '../kit/fake-model.ts';
import { type KeyFile, makeKeyFile } from '../kit/key-file.ts';
import { pidsOf, processStatuses } from '../kit/process-status.ts';
import { listProcesses } from '../kit/run-pm2.ts';
import { type Stack, startStack } from '../kit/stack.ts';
import { waitFor } from '../kit/wait-for.ts';

const workers = 64;
/** The defaults of limits.requests_per_minute and limits.concurrency. */
const requestsPerMinute = 100;
const concurrency = 500;
/** Bytes; the promise is 50 MB, which the benchmark holds us to on a quiet machine. */
const mostMemoryPerWorker = 60e6;
/** Two cores look after 64 workers and 520 connections. */
const patient = { timeoutMs: 60_000 };

let embedding: FakeModel;
let reranker: FakeModel;
let keyFile: KeyFile;
let stack: Stack;
/** Keys that no test has used yet: each is good for 100 requests in this minute. */
let unusedKeys: string[];

before(async () => {
  keyFile = makeKeyFile(20);
  unusedKeys = [...keyFile.keys];
  embedding = await startFakeModel({ role: 'embedding' });
  reranker = await startFakeModel({ role: 'reranker' });
  stack = await startStack({
    workers,
    env: {
      ER_ENGINE: 'external',
      ER_MODELS_EMBEDDING_URLS: embedding.url,
      ER_MODELS_RERANKER_URLS: reranker.url,
      ER_KEYS_FILE: keyFile.file,
    },
  });
});
after(async () => {
  await stack?.stop();
  await embedding?.stop();
  await reranker?.stop();
  keyFile?.remove();
});

interface Answer {
  status: number;
  headers: Headers;
  code: string | undefined;
  afterMs: number;
}

/** Requests under way at the same time, each on a connection of its own. */
class Crowd {
  readonly #agent = new Agent({ pipelining: 0 });
  readonly #hangUp = new AbortController();
  readonly answers: Answer[] = [];
  /** Requests whose connection broke. */
  broken = 0;
  sent = 0;

  send(count: number, key: string, path = '/v1/embeddings'): void {
    for (let number = 0; number < count; number++) void this.#request(key, path);
  }

  /** Spreads requests over so many keys that none of them reaches its limit. */
  sendWithFreshKeys(count: number): void {
    for (let left = count; left > 0; left -= requestsPerMinute) {
      this.send(Math.min(left, requestsPerMinute), nextKey());
    }
  }

  get waiting(): number {
    return this.sent - this.answers.length - this.broken;
  }

  /** What became of them, for the message of a test that fails. */
  describe(): string {
    const answers = this.answers.map(({ status, code }) => `${status} ${code ?? ''}`);
    return `${this.sent} sent, ${this.broken} broken, answered: ${answers.join(', ')}`;
  }

  async disperse(): Promise<void> {
    this.#hangUp.abort();
    await this.#agent.destroy();
  }

  async #request(key: string, path: string): Promise<void> {
    this.sent++;
    const begin = performance.now();
    try {
      const answer = await fetch(`${stack.url}${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        // Each its own text: the cache would answer the second of two.
        body: JSON.stringify({ input: `text ${key} ${this.sent}` }),
        signal: this.#hangUp.signal,
        dispatcher: this.#agent,
      });
      const body = (await answer.json()) as { error?: { code: string } };
      const { status, headers } = answer;
      this.answers.push({ status, headers, code: body.error?.code, afterMs: performance.now() - begin });
    } catch {
      this.broken++;
    }
  }
}

function nextKey(): string {
  const key = unusedKeys.pop();
  assert.ok(key, 'every key of this test is used up');
  return key;
}

async function inFlight(): Promise<number> {
  const [scheduler] = await processStatuses<ModelsStatus>(stack.runDir, 'scheduler');
  return scheduler?.status.inFlight ?? Number.NaN;
}
async function isInFlight(count: number, ...crowds: Crowd[]): Promise<void> {
  const what = `${count} requests in flight`;
  try {
    await waitFor(what, async () => (await inFlight()) === count, patient);
  } catch (cause) {
    const told = crowds.map(crowd => crowd.describe());
    throw new Error(`${what} expected, there are ${await inFlight()}; ${told.join('; ')}`, { cause });
  }
}

function memoryOf(pid: number): number {
  const kilobytes = /^Pss: +(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1];
  return Number(kilobytes) * 1024;
}

test('64 idle workers take 60 MB of memory each at most', t => {
  const pids = pidsOf(stack.runDir, 'gateway');
  assert.equal(pids.length, workers);
  const mean = pids.map(memoryOf).reduce((sum, bytes) => sum + bytes, 0) / workers;
  t.diagnostic(`${(mean / 1e6).toFixed(1)} MB each`);
  assert.ok(mean > 0 && mean <= mostMemoryPerWorker, `${(mean / 1e6).toFixed(1)} MB`);
});

test('pm2 shows 64 workers online, and no key', async () => {
  const processes = await listProcesses(stack);
  const gateways = processes.filter(({ name }) => name === 'gateway');
  assert.equal(gateways.filter(({ pm2_env }) => pm2_env.status === 'online').length, workers);
  assert.deepEqual([...new Set(processes.map(({ name }) => name))].sort(), [
    'gateway',
    'monitor',
    'scheduler',
    'state',
  ]);
  const shown = await stack.pm2(['jlist']);
  for (const key of keyFile.keys) assert.ok(!shown.includes(key));
});

test('of 130 requests at once over all workers exactly 100 pass, and the models see no other', async () => {
  await embedding.forget();
  const crowd = new Crowd();
  crowd.send(130, nextKey());
  await waitFor('130 answers', () => crowd.answers.length === 130, patient);
  const refused = crowd.answers.filter(({ status }) => status === 429);
  assert.equal(crowd.answers.filter(({ status }) => status === 200).length, requestsPerMinute);
  assert.equal(refused.length, 30);
  for (const { headers, code } of refused) {
    assert.equal(code, 'rate_limit_exceeded');
    assert.equal(headers.get('x-ratelimit-remaining-requests'), '0');
    const seconds = Number(headers.get('retry-after'));
    assert.ok(seconds >= 1 && seconds <= 60, `Retry-After: ${seconds}`);
    assert.ok(Math.abs(Number(headers.get('retry-after-ms')) - seconds * 1000) <= 1000);
  }
  assert.ok((await embedding.seen()).inputs <= requestsPerMinute);
  await crowd.disperse();
});

test('of 520 requests that the model never answers exactly 500 are held, 20 get 503 at once; hang-ups free all', async () => {
  await embedding.fault({ mode: 'hang' });
  const crowd = new Crowd();
  crowd.sendWithFreshKeys(520);
  await waitFor('20 refusals', () => crowd.answers.length === 20, patient);
  await isInFlight(concurrency, crowd);
  assert.equal(crowd.waiting, concurrency);
  for (const { status, code, headers } of crowd.answers) {
    assert.equal(status, 503);
    assert.equal(code, 'overloaded');
    assert.ok(Number(headers.get('retry-after')) >= 1);
    assert.ok(Number(headers.get('retry-after-ms')) >= 1);
  }
  const late = new Crowd();
  late.send(1, nextKey());
  await waitFor('the refusal', () => late.answers.length === 1, patient);
  assert.equal(late.answers[0]?.status, 503);
  assert.ok((late.answers[0]?.afterMs ?? Number.NaN) < 5000, 'it was kept waiting');

  await crowd.disperse();
  await isInFlight(0);
  await waitFor('the model to be rid of them', async () => (await embedding.seen()).inFlight === 0, patient);
  await late.disperse();
});

test('kill -9 of a worker frees the permits that it held, and no others', async () => {
  await embedding.fault({ mode: 'hang' });
  const crowd = new Crowd();
  crowd.sendWithFreshKeys(concurrency);
  await isInFlight(concurrency, crowd);
  const statuses = await processStatuses<{ inFlight: number }>(stack.runDir, 'gateway');
  const busiest = statuses.sort((one, other) => other.status.inFlight - one.status.inFlight)[0];
  assert.ok(busiest && busiest.status.inFlight > 1, 'a worker that holds some');
  const held = busiest.status.inFlight;

  process.kill(busiest.pid, 'SIGKILL');
  await isInFlight(concurrency - held, crowd);
  await waitFor('their clients to see it', () => crowd.broken === held, patient);
  assert.equal(crowd.waiting, concurrency - held);

  const more = new Crowd();
  more.send(held + 5, nextKey());
  await waitFor('5 refusals', () => more.answers.length === 5, patient);
  await isInFlight(concurrency, crowd, more);
  assert.ok(more.answers.every(({ status }) => status === 503));
  assert.equal(more.waiting, held);

  await crowd.disperse();
  await more.disperse();
  await isInFlight(0);
  await waitFor('64 workers again', () => pidsOf(stack.runDir, 'gateway').length === workers, patient);
});

test('when the model answers again all is as before', async () => {
  await embedding.fault({ mode: 'none' });
  const crowd = new Crowd();
  crowd.send(64, nextKey());
  await waitFor('64 answers', () => crowd.answers.length === 64, patient);
  assert.ok(crowd.answers.every(({ status }) => status === 200));
  await crowd.disperse();
});
