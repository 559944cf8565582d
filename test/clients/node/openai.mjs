import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { apiKey, assertSameVectors, embeddingModel, texts, url, vectorsOf } from './reference.mjs';

const client = new OpenAI({ apiKey, baseURL: `${url}/v1`, maxRetries: 0 });
const wanted = await vectorsOf(texts);
const asBase64 = await client.embeddings.create({ model: embeddingModel, input: texts });
assertSameVectors(
  asBase64.data.map(({ embedding }) => embedding),
  wanted,
);
const asFloat = await client.embeddings.create({
  model: embeddingModel,
  input: texts,
  encoding_format: 'float',
});
assertSameVectors(
  asFloat.data.map(({ embedding }) => embedding),
  wanted,
);
assert.deepEqual(asFloat.usage, asBase64.usage);
assert.ok(asFloat.usage.prompt_tokens > texts.length);
const short = await client.embeddings.create({
  model: embeddingModel,
  input: texts[0],
  dimensions: 64,
  user: 'me',
});
assert.equal(short.data[0].embedding.length, 64);
const { data: models } = await client.models.list();
assert.ok(models.some(({ id }) => id === embeddingModel));
await assert.rejects(client.embeddings.create({ model: 'nothing', input: 'a' }), OpenAI.NotFoundError);
await assert.rejects(client.embeddings.create({ model: embeddingModel, input: '' }), OpenAI.BadRequestError);
