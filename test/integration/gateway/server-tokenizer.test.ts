import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type FakeModel, startFakeModel } from '../../kit/fake-model.ts';
import { type SmallSystem, startSmallSystem } from '../../kit/small-system.ts';

/** Before servers whose model folders are not here: they tokenize, with a tokenizer of two bytes a token. */

const maxModelLen = 600;
const endOfText = 151_643;
let models: FakeModel[];
let system: SmallSystem;

before(async () => {
  models = await Promise.all([
    startFakeModel({ role: 'embedding', maxModelLen }),
    startFakeModel({ role: 'reranker', maxModelLen }),
  ]);
  const [embedding, reranker] = models.map(({ url }) => url);
  system = await startSmallSystem({ embeddingUrls: [embedding ?? ''], rerankerUrls: [reranker ?? ''] });
});
after(async () => {
  await system?.stop();
  for (const model of models) await model.stop();
});

interface Embeddings {
  data: { embedding: number[] }[];
  usage: { prompt_tokens: number };
}
interface Scores {
  data: { score: number }[];
}
async function ask<Body>(path: string, body: unknown): Promise<Body> {
  const answer = await system.post(path, body);
  assert.equal(answer.status, 200, await answer.clone().text());
  return (await answer.json()) as Body;
}

test('ids get the server’s last token when they lack it, and are refused outside of its vocabulary by index', async () => {
  const { data, usage } = await ask<Embeddings>('/v1/embeddings', {
    input: [
      [840, 20_772],
      [840, 20_772, endOfText],
    ],
  });
  assert.deepEqual(data[0]?.embedding, data[1]?.embedding);
  assert.equal(usage.prompt_tokens, 6);
  const refused = await system.post('/v1/embeddings', { input: [[1], [151_936]] });
  const { error } = (await refused.json()) as { error: { message: string; param: string } };
  assert.deepEqual([refused.status, error.param], [400, 'input[1]']);
  assert.match(error.message, /out of vocabulary/);
});

test('texts are cut when that is asked for, and keep the last token', async () => {
  const long = 'ab'.repeat(maxModelLen * 2);
  assert.equal((await system.post('/v1/embeddings', { input: long })).status, 400);
  for (const [asked, kept] of [
    [{ truncate_prompt_tokens: -1 }, maxModelLen],
    [{ truncate_prompt_tokens: 5 }, 5],
    [{ truncation: true }, maxModelLen],
  ] as const) {
    const cut = await ask<Embeddings>('/v1/embeddings', { input: long, ...asked });
    const whole = await ask<Embeddings>('/v1/embeddings', { input: 'ab'.repeat(kept - 1) });
    assert.equal(cut.usage.prompt_tokens, kept);
    assert.deepEqual(cut.data, whole.data);
  }
  // A cut text's vector is not that of the whole text.
  assert.equal((await system.post('/v1/embeddings', { input: long })).status, 400);
  const end = await system.post('/v1/embeddings', {
    input: 'ab',
    truncate_prompt_tokens: -1,
    truncation_side: 'left',
  });
  assert.equal(end.status, 400);
});

test('documents are cut before the server fills the template', async () => {
  const documents = ['abcdefgh', 'ab'.repeat(maxModelLen)];
  const refused = await system.post('/score', { queries: 'q', documents });
  assert.equal(refused.status, 400);
  const cut = await ask<Scores>('/score', { queries: 'q', documents, max_tokens_per_doc: 2 });
  const whole = await ask<Scores>('/score', { queries: 'q', documents: ['abcd', 'abab'] });
  assert.deepEqual(cut.data, whole.data);
  const voyage = await system.post('/v1/rerank', { query: 'q', documents, truncation: true });
  assert.equal(voyage.status, 200, await voyage.text());
});

test('what goes to /tokenize and /detokenize there is bounded', async () => {
  for (const [path, body, param] of [
    ['/tokenize', { prompt: 'a'.repeat(maxModelLen * 128 + 1) }, 'prompt'],
    ['/detokenize', { tokens: Array(maxModelLen + 1).fill(1) }, 'tokens'],
  ] as const) {
    const answer = await system.post(path, body);
    const { error } = (await answer.json()) as { error: { param: string } };
    assert.deepEqual([answer.status, error.param], [400, param]);
  }
});
