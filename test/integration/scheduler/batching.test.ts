import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, afterEach, before, test } from 'node:test';
import { type FakeModel, startFakeModel } from '../../kit/fake-model.ts';
import { type SmallSystem, startSmallSystem } from '../../kit/small-system.ts';
import { makeTokenizerFolder } from '../../kit/tokenizer-folder.ts';
import { waitFor } from '../../kit/wait-for.ts';

let embedding: FakeModel;
let reranker: FakeModel;
let system: SmallSystem;
const tokenizer = makeTokenizerFolder();
const otherKey = `er-${'O7her'.repeat(8)}`;

before(async () => {
  embedding = await startFakeModel({ role: 'embedding', overheadMs: 5, stepMs: 5, maxModelLen: 512 });
  reranker = await startFakeModel({ role: 'reranker', servedName: 'Qwen3-Reranker-0.6B', overheadMs: 5 });
  system = await startSmallSystem({
    embeddingUrls: [embedding.url],
    rerankerUrls: [reranker.url],
    env: {
      ER_MODELS_EMBEDDING_PATH: tokenizer.path,
      ER_MODELS_RERANKER_PATH: tokenizer.path,
      ER_BATCH_MAX_ITEMS: '32',
    },
  });
  writeFileSync(system.keysFile, JSON.stringify({ keys: [{ key: system.key, role: 'admin' }, otherKey] }));
  await waitFor('the other key', async () => {
    const answer = await fetch(`${system.url}/v1/models?api_key=${otherKey}`);
    return answer.ok;
  });
  await embedding.forget(); // the canary
});
afterEach(async () => {
  await embedding.fault({ mode: 'none' });
  await embedding.forget();
  await reranker.forget();
});
after(async () => {
  await system?.stop();
  await embedding?.stop();
  await reranker?.stop();
  tokenizer.remove();
});

let texts = 0;
/** A text that was never sent before. */
const freshText = () => `text number ${texts++}`;
const freshTexts = (count: number) => Array.from({ length: count }, freshText);

interface EmbeddingsBody {
  data: { index: number; embedding: number[] }[];
  usage: { prompt_tokens: number };
  error?: { message: string; param: string };
}
const embed = async (input: unknown, headers: Record<string, string> = {}) => {
  const answer = await system.post('/v1/embeddings', { input }, headers);
  return { answer, body: (await answer.json()) as EmbeddingsBody };
};

test('texts of many callers share calls, and each caller gets its own vector and usage', async () => {
  const inputs = freshTexts(64);
  const together = await Promise.all(inputs.map(text => embed(text)));
  const { batches } = await embedding.seen();
  assert.ok(batches.length < 20, `64 callers took ${batches.length} calls`);
  assert.equal(
    batches.reduce((sum, size) => sum + size, 0),
    64,
  );
  for (const [index, text] of inputs.entries()) {
    const alone = await embed(text, { 'cache-control': 'no-store' });
    assert.deepEqual(alone.body.data[0]?.embedding, together[index]?.body.data[0]?.embedding);
    assert.equal(alone.body.usage.prompt_tokens, together[index]?.body.usage.prompt_tokens);
  }
});

test('a request larger than a batch is cut, and its order kept', async () => {
  const inputs = freshTexts(100);
  const { body } = await embed(inputs);
  const { batches } = await embedding.seen();
  assert.ok(Math.max(...batches) <= 32, `calls of ${batches}`);
  const last = await embed(inputs.at(-1), { 'cache-control': 'no-store' });
  assert.deepEqual(
    body.data.map(({ index }) => index),
    inputs.map((_, index) => index),
  );
  assert.deepEqual(body.data.at(-1)?.embedding, last.body.data[0]?.embedding);
});

test('pairs of different queries share calls', async () => {
  const answers = await Promise.all(
    freshTexts(40).map(query => system.post('/v1/rerank', { query, documents: [freshText()] })),
  );
  assert.ok(answers.every(answer => answer.status === 200));
  const { batches, paths } = await reranker.seen();
  assert.deepEqual(Object.keys(paths), ['/pooling']);
  assert.ok(batches.length < 20, `40 callers took ${batches.length} calls`);
});

test('what is known is not asked again: a request of hits and misses sends its misses only', async () => {
  const inputs = freshTexts(4);
  const first = await embed(inputs);
  assert.equal(first.answer.headers.get('x-er-cache'), '0/4');
  await embedding.forget();
  const mixed = await embed([...inputs, freshText()]);
  assert.equal(mixed.answer.headers.get('x-er-cache'), '4/5');
  assert.equal((await embedding.seen()).inputs, 1);
  assert.deepEqual(mixed.body.data.slice(0, 4), first.body.data);
  const cut = await system.post('/v1/embeddings', { input: inputs, dimensions: 64 });
  assert.equal(cut.headers.get('x-er-cache'), '4/4', 'any dimensions come from the stored vector');
  await embed(inputs, { 'cache-control': 'no-store' });
  assert.equal((await embedding.seen()).inputs, 5, 'no-store asks the model');
});

test('the cache is not shared between keys', async () => {
  const input = freshText();
  await embed(input);
  const other = await embed(input, { authorization: `Bearer ${otherKey}` });
  assert.equal(other.answer.headers.get('x-er-cache'), '0/1');
});

test('equal texts in flight are asked once', async () => {
  const input = freshText();
  await embedding.fault({ mode: 'slow', ms: 200 });
  const answers = await Promise.all(Array.from({ length: 20 }, () => embed(input)));
  assert.equal((await embedding.seen()).inputs, 1);
  assert.equal(new Set(answers.map(({ body }) => JSON.stringify(body.data))).size, 1);
});

test('an input that is too long is refused by index, and others in flight are not touched', async () => {
  const [good, bad] = await Promise.all([embed(freshTexts(8)), embed([freshText(), 'word '.repeat(600)])]);
  assert.equal(good.answer.status, 200);
  assert.equal(bad.answer.status, 400);
  assert.equal(bad.body.error?.param, 'input[1]');
  assert.match(bad.body.error?.message ?? '', /602 tokens.*at most 512/);
});

test('an id that is no token is refused by index', async () => {
  const { answer, body } = await embed([[1, 2], [999_999]]);
  assert.equal(answer.status, 400);
  assert.equal(body.error?.param, 'input[1]');
});

test('text of special tokens is plain text', async () => {
  const plain = await embed('<|endoftext|>');
  const control = await embed([[151_643]]);
  assert.ok(plain.body.usage.prompt_tokens > 2);
  assert.notDeepEqual(plain.body.data[0]?.embedding, control.body.data[0]?.embedding);
});

test('a server that refuses a batch is asked again in parts, and strangers are served', async () => {
  await embedding.fault({ mode: 'status', status: 400, count: 1, path: '/pooling' });
  const answers = await Promise.all(freshTexts(16).map(text => embed(text)));
  const refused = answers.filter(({ answer }) => answer.status !== 200);
  assert.ok(refused.length <= 1, `${refused.length} of 16 refused`);
});

test('a key that floods does not hold up another key', async () => {
  await embedding.fault({ mode: 'none' });
  const flood = Array.from({ length: 4 }, () => embed(freshTexts(512)));
  let isFloodDone = false;
  const all = Promise.all(flood).then(answers => {
    isFloodDone = true;
    return answers;
  });
  await waitFor('the flood', async () => (await embedding.seen()).inputs > 64);
  const startedAt = performance.now();
  const single = await embed(freshText(), { authorization: `Bearer ${otherKey}` });
  const singleMs = performance.now() - startedAt;
  assert.equal(single.answer.status, 200);
  assert.equal(isFloodDone, false, `the single text waited for the flood (${singleMs} ms)`);
  assert.ok((await all).every(({ answer }) => answer.status === 200));
});

test('bulk work lets interactive work of the same key go first', async () => {
  const order: string[] = [];
  const bulk = embed(freshTexts(1024), { 'x-er-priority': 'bulk' }).then(() => order.push('bulk'));
  await waitFor('the bulk work', async () => (await embedding.seen()).inputs > 64);
  await embed(freshText()).then(() => order.push('interactive'));
  await bulk;
  assert.deepEqual(order, ['interactive', 'bulk']);
});

test('a wish for less time than the work takes is 504, one that cannot be meant is 400', async () => {
  await embedding.fault({ mode: 'slow', ms: 2000 });
  const late = await embed(freshText(), { 'x-er-timeout-ms': '150' });
  assert.equal(late.answer.status, 504);
  const wrong = await embed(freshText(), { 'x-er-timeout-ms': 'soon' });
  assert.equal(wrong.answer.status, 400);
  const priority = await embed(freshText(), { 'x-er-priority': 'urgent' });
  assert.equal(priority.answer.status, 400);
});

test('a client that leaves takes its waiting texts with it', async () => {
  await embedding.fault({ mode: 'slow', ms: 300 });
  const leaving = new AbortController();
  const request = system.fetch('/v1/embeddings', {
    method: 'POST',
    body: JSON.stringify({ input: freshTexts(2000) }),
    headers: { 'content-type': 'application/json' },
    signal: leaving.signal,
  });
  await waitFor('its first calls', async () => (await embedding.seen()).requests > 0);
  leaving.abort();
  await assert.rejects(request);
  await embedding.fault({ mode: 'none' });
  await embed(freshText());
  assert.ok((await embedding.seen()).inputs < 500, 'most of its texts were never sent');
});
