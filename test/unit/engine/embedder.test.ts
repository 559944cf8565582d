import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Embedder } from '../../../apps/engine/src/model/embedder.ts';
import type { ModelClient } from '../../../apps/engine/src/model/model-client.ts';

const never = new AbortController().signal;

/** A model whose vector of a list is its first token; it answers when told to, and keeps what it was asked. */
function createFakeModel() {
  const asked: number[][][] = [];
  let answer: (() => void) | null = null;
  let fail: ((error: Error) => void) | null = null;
  const model: ModelClient = {
    tokenizer: { encode: text => [...text].map(() => 6), decode: () => '', pieceOf: () => undefined },
    encode: tokenLists => {
      asked.push(tokenLists);
      return new Promise((resolve, reject) => {
        answer = () => resolve(tokenLists.map(tokens => Float32Array.of(tokens[0] ?? 0)));
        fail = reject;
      });
    },
    stop: async () => {},
  };
  const settle = async (error?: Error) => {
    if (error) fail?.(error);
    else answer?.();
    await setImmediate();
  };
  return { model, asked, settle };
}

const lists = (count: number, token: number) => Array.from({ length: count }, () => [token]);

test('embed() gives each call its own vectors, in order, from slices shared between calls', async () => {
  const { model, asked, settle } = createFakeModel();
  const embedder = new Embedder(model);
  const first = embedder.embed([[1], [2], [3]], never);
  const second = embedder.embed([[4], [5]], never);
  const third = embedder.embed([[6]], never);
  await settle();
  await settle();
  assert.deepEqual(
    (await first).flatMap(vector => [...vector]),
    [1, 2, 3],
  );
  assert.deepEqual(
    (await second).flatMap(vector => [...vector]),
    [4, 5],
  );
  assert.deepEqual(
    (await third).flatMap(vector => [...vector]),
    [6],
  );
  assert.deepEqual(asked, [
    [[1], [2], [3]],
    [[4], [6], [5]],
  ]);
  assert.deepEqual(embedder.counts(), { running: 0, waiting: 0, promptTokens: 6, finished: 6 });
});

test('a call that came later is answered before a large one that came first', async () => {
  const { model, settle } = createFakeModel();
  const embedder = new Embedder(model);
  let isLargeDone = false;
  const large = embedder.embed(lists(100, 1), never).then(() => {
    isLargeDone = true;
  });
  const small = embedder.embed(lists(1, 2), never);
  await settle();
  await settle();
  await small;
  assert.equal(isLargeDone, false);
  for (let slice = 0; slice < 10; slice++) await settle();
  await large;
});

test('more calls than a slice has room for are all served within the next two slices', async () => {
  const { model, settle } = createFakeModel();
  const embedder = new Embedder(model);
  const large = embedder.embed(lists(64, 1), never);
  const small = Array.from({ length: 24 }, () => embedder.embed(lists(1, 2), never));
  for (let slice = 0; slice < 3; slice++) await settle();
  await Promise.all(small);
  for (let slice = 0; slice < 10; slice++) await settle();
  await large;
});

test('an aborted call is rejected at once, and the model is not asked for what was left of it', async () => {
  const { model, asked, settle } = createFakeModel();
  const embedder = new Embedder(model);
  const hangUp = new AbortController();
  const call = embedder.embed(lists(100, 1), hangUp.signal);
  hangUp.abort(new Error('the client hung up'));
  await assert.rejects(call, /hung up/);
  assert.equal(embedder.counts().waiting, 0);
  await settle();
  assert.equal(asked.length, 1);
  assert.equal(embedder.counts().running, 0);
});

test('a failure of the model reaches the calls of that slice, and the next call is served', async () => {
  const { model, settle } = createFakeModel();
  const embedder = new Embedder(model);
  const broken = embedder.embed(lists(1, 1), never);
  const next = embedder.embed(lists(1, 2), never);
  const rejected = assert.rejects(broken, /out of memory/);
  await settle(new Error('out of memory'));
  await rejected;
  await settle();
  assert.equal((await next).length, 1);
});

test('tokenize() refuses too many tokens, too many characters, no tokens, and unknown ids', async () => {
  const embedder = new Embedder(createFakeModel().model);
  const refuses = (input: string | number[], message: RegExp) =>
    assert.rejects(embedder.tokenize([input], never), { status: 400, message });
  await refuses('x'.repeat(2049), /maximum context length is 2048 tokens.*contains 2049 input tokens/);
  await refuses('x'.repeat(2048 * 128 + 1), /262145 characters \(more than 262144 characters/);
  await refuses([], /cannot be empty/);
  await refuses([8000], /Token id 8000 is out of vocabulary/);
  await refuses([-1], /Token id -1 is out of vocabulary/);
  assert.equal((await embedder.tokenize(['x'.repeat(2048)], never))[0]?.length, 2048);
});
