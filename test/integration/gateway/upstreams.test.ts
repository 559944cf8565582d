import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type FakeModel, startFakeModel } from '../../kit/fake-model.ts';
import { freePort } from '../../kit/free-port.ts';
import { type SmallSystem, startSmallSystem } from '../../kit/small-system.ts';
import { waitFor } from '../../kit/wait-for.ts';

const concurrency = 6;
let embedding: FakeModel;
let reranker: FakeModel;
let system: SmallSystem;

before(async () => {
  embedding = await startFakeModel({ role: 'embedding' });
  reranker = await startFakeModel({ role: 'reranker', servedName: 'Qwen3-Reranker-0.6B' });
  system = await startSmallSystem({
    embeddingUrls: [embedding.url],
    rerankerUrls: [reranker.url],
    env: { ER_LIMITS_CONCURRENCY: String(concurrency), ER_GATEWAY_TIMEOUT_SECONDS: '6' },
  });
});
afterEach(async () => {
  await waitFor('the model server', () => embedding.fault({ mode: 'none' }).then(() => true));
  await waitFor('the models', async () => (await fetch(`${system.url}/health`)).ok);
  await embedding.forget();
});
after(async () => {
  await system?.stop();
  await embedding?.stop();
  await reranker?.stop();
});

let texts = 0;
/** A text that was never sent before. */
const freshText = () => `text number ${texts++}`;
const embed = (init: RequestInit = {}) =>
  system.fetch('/v1/embeddings', {
    method: 'POST',
    body: JSON.stringify({ input: freshText() }),
    headers: { 'content-type': 'application/json' },
    ...init,
  });
const codeOf = async (answer: Response) => ((await answer.json()) as { error: { code: string } }).error.code;
const modelInFlight = async () => (await embedding.seen()).inFlight;

test('the cap on requests in flight holds: the next gets 503 with Retry-After, and permits come back', async () => {
  await embedding.fault({ mode: 'hang' });
  const hangUp = new AbortController();
  const held = Array.from({ length: concurrency }, () => embed({ signal: hangUp.signal }).catch(() => null));
  const refused = await waitFor('a refusal', async () => {
    const answer = await embed({ signal: AbortSignal.timeout(300) });
    return answer.status === 503 && answer;
  });
  assert.equal(await codeOf(refused), 'overloaded');
  assert.match(refused.headers.get('retry-after') ?? '', /^\d+$/);
  assert.match(refused.headers.get('retry-after-ms') ?? '', /^\d+$/);
  await embedding.fault({ mode: 'none' });
  hangUp.abort();
  await Promise.all(held);
  await waitFor('a permit', async () => (await embed()).status === 200);
});

test('a client that hangs up ends its call to the model server', async () => {
  await embedding.fault({ mode: 'hang' });
  const hangUp = new AbortController();
  const request = embed({ signal: hangUp.signal });
  await waitFor('the call at the model server', async () => (await modelInFlight()) > 0);
  hangUp.abort();
  await assert.rejects(request);
  await waitFor('the end of the call', async () => (await modelInFlight()) === 0);
});

test('a killed worker gives its permits back, and its calls end', async () => {
  await embedding.fault({ mode: 'hang' });
  const held = Array.from({ length: concurrency }, () => embed().catch(() => null));
  await waitFor('calls at the model server', async () => (await modelInFlight()) > 0);
  await system.kill('gateway');
  await Promise.all(held);
  await waitFor('the end of the calls', async () => (await modelInFlight()) === 0);
  await embedding.fault({ mode: 'none' });
  system.start('gateway');
  await waitFor('the gateway', async () => (await fetch(`${system.url}/health`)).ok);
  const answers = await Promise.all(Array.from({ length: concurrency }, () => embed()));
  assert.deepEqual(new Set(answers.map(answer => answer.status)), new Set([200]));
});

test('a model that does not answer in time is 504', async () => {
  await embedding.fault({ mode: 'hang' });
  const answer = await embed();
  assert.equal(answer.status, 504);
  assert.equal(await codeOf(answer), 'upstream_timeout');
});

for (const mode of [
  'reset',
  'reset-mid-answer',
  'nan',
  'wrong-count',
  'wrong-dimension',
  'status-500',
] as const) {
  test(`${mode} of the model server once is hidden by one more try`, async () => {
    await embedding.fault({ mode, count: 1, path: '/v1/' });
    assert.equal((await embed()).status, 200);
  });
  test(`${mode} of the model server every time is 502${mode === 'nan' || mode === 'wrong-dimension' ? ', and the server is taken out' : ', after two tries'}`, async () => {
    await embedding.fault({ mode, path: '/v1/embeddings' });
    await embedding.forget();
    const answer = await embed();
    if (mode === 'nan' || mode === 'wrong-dimension') {
      // Wrong numbers bring the canary, which may be the first to tell.
      assert.ok([502, 503].includes(answer.status), `status ${answer.status}`);
      await waitFor('its verdict', async () => (await fetch(`${system.url}/health`)).status === 503);
      return;
    }
    assert.equal(answer.status, 502);
    assert.equal(await codeOf(answer), 'upstream_failed');
    assert.equal((await embedding.seen()).paths['/v1/embeddings'], 2);
  });
}

test('a connection that the model server closes while it is idle costs no call', async () => {
  assert.equal((await embed()).status, 200);
  await delay(5500); // vLLM closes after 5 s
  await embedding.forget();
  assert.equal((await embed()).status, 200);
  assert.equal((await embedding.seen()).paths['/v1/embeddings'], 1);
});

test('a model that is down is 503 with Retry-After, at once, and /health names it; the other model goes on', async () => {
  await embedding.fault({ mode: 'loading', ms: 3000 });
  const refused = await waitFor('503', async () => {
    const answer = await embed();
    return answer.status === 503 && answer;
  });
  assert.equal(await codeOf(refused), 'no_available_upstream');
  assert.match(refused.headers.get('retry-after') ?? '', /^\d+$/);
  const health = await fetch(`${system.url}/health`);
  assert.equal(health.status, 503);
  assert.match(JSON.stringify(await health.json()), /Qwen3-Embedding-0\.6B: nobody listens/);
  const rerank = await system.post('/v1/rerank', { query: 'q', documents: [freshText()] });
  assert.equal(rerank.status, 200);
});

test('requests survive a kill -9 of the scheduler', async () => {
  await embedding.fault({ mode: 'slow', ms: 300 });
  const requests = Array.from({ length: concurrency }, () => embed());
  await waitFor('calls at the model server', async () => (await modelInFlight()) > 0);
  await system.kill('scheduler');
  system.start('scheduler');
  const answers = await Promise.all(requests);
  const bodies = await Promise.all(answers.map(answer => answer.text()));
  assert.deepEqual(
    answers.map(answer => answer.status),
    Array(concurrency).fill(200),
    bodies.map(body => body.slice(0, 200)).join('\n'),
  );
});

test('requests survive a kill -9 of the state app', async () => {
  assert.equal((await embed()).status, 200);
  await system.kill('state');
  const requests = Array.from({ length: concurrency }, () => embed());
  system.start('state');
  const answers = await Promise.all(requests);
  assert.deepEqual(
    answers.map(answer => answer.status),
    Array(concurrency).fill(200),
  );
});

test('a gateway that starts before anything else answers 503 and says what it waits for', async () => {
  const port = await freePort();
  const early = await startSmallSystem({
    embeddingUrls: [`http://127.0.0.1:${port}`],
    rerankerUrls: [`http://127.0.0.1:${port}`],
    waitForModels: false,
  });
  try {
    const health = await fetch(`${early.url}/health`);
    assert.equal(health.status, 503);
    assert.equal((await fetch(`${early.url}/health/live`)).status, 200);
    const answer = await early.post('/v1/embeddings', { input: 'a' });
    assert.equal(answer.status, 503);
  } finally {
    await early.stop();
  }
});
