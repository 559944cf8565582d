import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type FakeModel, startFakeModel } from '../../kit/fake-model.ts';
import { seriesOf } from '../../kit/process-status.ts';
import { type SmallSystem, startSmallSystem } from '../../kit/small-system.ts';
import { waitFor } from '../../kit/wait-for.ts';

let models: FakeModel[] = [];
let system: SmallSystem;

before(async () => {
  models = await Promise.all([
    startFakeModel({ role: 'embedding' }),
    startFakeModel({ role: 'reranker', servedName: 'Qwen3-Reranker-0.6B' }),
  ]);
  const [embedding, reranker] = models.map(({ url }) => url);
  system = await startSmallSystem({
    embeddingUrls: [embedding ?? ''],
    rerankerUrls: [reranker ?? ''],
    env: { ER_LIMITS_CONCURRENCY: '4' },
  });
});
after(async () => {
  await system?.stop();
  for (const model of models) await model.stop();
});

const keyWith = async (settings: object) => {
  const answer = await system.post('/admin/keys', { name: 'limited', ...settings });
  const { key, error } = (await answer.json()) as { key: string; error?: unknown };
  assert.equal(answer.status, 201, JSON.stringify(error));
  return key;
};
const embed = async (key: string, input: unknown) => {
  const answer = await fetch(`${system.url}/v1/embeddings`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ input }),
  });
  const body = (await answer.json()) as {
    error?: { code: string; message: string };
    usage?: { prompt_tokens: number };
  };
  const header = (name: string) => {
    const value = answer.headers.get(`x-ratelimit-${name}`);
    return value === null ? null : Number(value);
  };
  return { status: answer.status, body, header, retryAfter: answer.headers.get('retry-after') };
};
const refusedBy = async (limit: string) =>
  (await seriesOf(join(system.folder, 'run'), 'gateway')).get(`er_rate_limited_total{limit=${limit}}`);
const texts = (count: number) =>
  Array.from({ length: count }, (_, index) => `text ${index} ${Math.random()}`);

test('inputs are charged before the models see them, with headers for each limit; a refusal costs nothing', async () => {
  const key = await keyWith({ inputs_per_minute: 10, requests_per_minute: 50 });
  const first = await embed(key, texts(6));
  assert.equal(first.status, 200);
  const seen = ['limit-requests', 'remaining-requests', 'limit-inputs', 'remaining-inputs', 'limit-tokens'];
  assert.deepEqual(seen.map(first.header), [50, 49, 10, 4, null]);
  await models[0]?.forget();
  const refusedBefore = await refusedBy('inputs');
  const second = await embed(key, texts(6));
  assert.deepEqual([second.status, second.body.error?.code], [429, 'rate_limit_exceeded']);
  assert.match(second.body.error?.message ?? '', /limit of 10 inputs a minute/);
  assert.ok(Number(second.retryAfter) >= 1);
  assert.equal((await models[0]?.seen())?.requests, 0);
  const third = await embed(key, texts(4));
  assert.deepEqual([third.status, third.header('remaining-inputs')], [200, 0]);
  assert.equal((await embed(key, texts(1))).status, 429);
  assert.match(
    (await embed(await keyWith({ inputs_per_minute: 3 }), texts(4))).body.error?.message ?? '',
    /more than/,
  );
  assert.deepEqual([refusedBefore, await refusedBy('inputs'), await refusedBy('tokens')], [0, 3, 0]);
});

test('tokens are charged by an estimate and put right by what the answer says', async () => {
  const limit = 100_000;
  const key = await keyWith({ tokens_per_minute: limit });
  const { body, header } = await embed(key, texts(20));
  const used = limit - (body.usage?.prompt_tokens ?? 0);
  assert.equal(header('remaining-tokens'), used);
  await waitFor('the correction', async () => {
    const answer = await fetch(`${system.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
    await answer.arrayBuffer();
    return Number(answer.headers.get('x-ratelimit-remaining-tokens')) === used;
  });
});

test('inputs and tokens of what was not run come back; a request whose body is wrong counts as one', async () => {
  const key = await keyWith({ inputs_per_minute: 10, tokens_per_minute: 10_000 });
  await models[0]?.fault({ mode: 'loading', ms: 3000 });
  await waitFor('the model to be down', async () => (await system.fetch('/health')).status === 503);
  const refused = await embed(key, texts(10));
  assert.equal(refused.status, 503);
  const left = async () => {
    const answer = await fetch(`${system.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
    await answer.arrayBuffer();
    return answer.headers;
  };
  await waitFor('the refund', async () => (await left()).get('x-ratelimit-remaining-inputs') === '10');
  assert.equal((await left()).get('x-ratelimit-remaining-tokens'), '10000');
  // Nothing listens there for a while, then it is well by itself.
  await waitFor('the model', async () => (await system.fetch('/health')).ok);
  const before = Number((await left()).get('x-ratelimit-remaining-requests'));
  assert.equal((await embed(key, '')).status, 400);
  await waitFor(
    'its charge',
    async () => Number((await left()).get('x-ratelimit-remaining-requests')) <= before - 2,
  );
  assert.equal((await left()).get('x-ratelimit-remaining-inputs'), '10');
});

test('bad requests count too: a key that is limited by inputs gets no more of them than of good ones', async () => {
  const key = await keyWith({ inputs_per_minute: 100, requests_per_minute: 3 });
  const statuses: number[] = [];
  for (let request = 0; request < 5; request++) {
    const { status, header, retryAfter } = await embed(key, request === 1 ? texts(1) : '');
    statuses.push(status);
    const left = ['limit-requests', 'remaining-requests', 'limit-inputs', 'remaining-inputs'].map(header);
    assert.deepEqual(
      left,
      [3, Math.max(0, 2 - request), 100, request === 0 ? 100 : 99],
      `request ${request}`,
    );
    assert.equal(retryAfter !== null, status === 429);
  }
  assert.deepEqual(statuses, [400, 200, 400, 429, 429]);
});

test('every answer to a key tells its limits, refusals before any work too', async () => {
  const limits = { requests_per_minute: 7, inputs_per_minute: 9 };
  for (const settings of [limits, { requests_per_minute: 7 }]) {
    const key = await keyWith(settings);
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'text/plain' };
    const refused = [
      await fetch(`${system.url}/admin/keys`, { headers }),
      await fetch(`${system.url}/v1/embeddings`, { method: 'POST', headers, body: 'a' }),
    ];
    const seen = refused.map(({ status, headers: got }) => [
      status,
      got.get('x-ratelimit-remaining-requests'),
    ]);
    assert.deepEqual(seen, [
      [403, '7'],
      [415, '6'],
    ]);
  }
});

test('a key takes up its share of the concurrency and no more, and others go on', async () => {
  const key = await keyWith({ concurrency_share: 0.5 });
  await models[0]?.fault({ mode: 'slow', ms: 1000 });
  const asked = Array.from({ length: 3 }, () => embed(key, texts(1)));
  const statuses = (await Promise.all(asked)).map(({ status }) => status).sort();
  assert.deepEqual(statuses, [200, 200, 429]);
  assert.equal(await refusedBy('concurrency'), 1);
  await models[0]?.fault({ mode: 'none' });
  assert.equal((await embed(await keyWith({}), texts(1))).status, 200);
});

test('wrong keys from one address slow down and are counted, and do not lock out who has a good one', async () => {
  const good = await keyWith({});
  assert.equal((await embed(good, 'a')).status, 200);
  const guess = (number: number) => embed(`er-guess-${number}`.padEnd(43, 'x'), 'a');
  const guesses = (first: number, count: number) =>
    Promise.all(Array.from({ length: count }, (_, number) => guess(first + number)));
  for (const { status } of await guesses(0, 99)) assert.equal(status, 401);
  const timed = async (number: number) => {
    const asked = performance.now();
    assert.equal((await guess(number)).status, 401);
    return performance.now() - asked;
  };
  await guesses(100, 10);
  const slow = await timed(200);
  assert.ok(slow > 150, `a further guess took ${slow} ms`);
  for (let again = 0; again < 5; again++) await timed(200);
  const repeated = await timed(200);
  assert.ok(repeated < slow, `the same wrong key again took ${repeated} ms`);
  await guesses(1000, 900);
  // Some may not have been counted: the store gets no CPU now and then.
  let next = 5000;
  const refusedGuess = async () => {
    const answers = await guesses(next, 50);
    next += 50;
    return answers.find(({ body }) => body.error?.code === 'too_many_failures');
  };
  const blocked = await waitFor('a refused guess', refusedGuess, { timeoutMs: 30_000 });
  assert.equal(blocked.status, 429);
  assert.ok(Number(blocked.retryAfter) >= 1);
  assert.equal((await embed(good, 'b')).status, 200, 'known from before');
  assert.equal((await embed(await keyWith({}), 'c')).status, 200, 'never seen here before');
  const file = await system.fetch('/v1/models');
  assert.equal(file.status, 200, 'a key of the key file');
});
