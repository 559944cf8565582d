import assert from 'node:assert/strict';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, embed, embedMany } from 'ai';
import { apiKey, assertSameVectors, embeddingModel, texts, url, vectorsOf } from './reference.mjs';

const provider = createOpenAICompatible({ name: 'er', apiKey, baseURL: `${url}/v1` });
const model = provider.embeddingModel(embeddingModel);
const wanted = await vectorsOf(texts);
const many = await embedMany({ model, values: texts });
assertSameVectors(many.embeddings, wanted);
const one = await embed({ model, value: texts[0], providerOptions: { er: { dimensions: 64 } } });
assert.ok(one.usage.tokens > 0);
assert.equal(one.embedding.length, 64);
await assert.rejects(
  embed({ model: provider.embeddingModel('nothing'), value: texts[0], maxRetries: 0 }),
  error => APICallError.isInstance(error) && error.statusCode === 404 && /no such model/.test(error.message),
);
