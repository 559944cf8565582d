import assert from 'node:assert/strict';
import { VoyageAIClient, VoyageAIError } from 'voyageai';
import {
  apiKey,
  assertSameRanking,
  assertSameVectors,
  documents,
  embeddingModel,
  query,
  rerankModel,
  texts,
  url,
  vectorsOf,
} from './reference.mjs';

const client = new VoyageAIClient({ apiKey, environment: `${url}/v1` });
const embedded = await client.embed({ model: embeddingModel, input: texts, inputType: 'document' });
assertSameVectors(
  embedded.data.map(({ embedding }) => embedding),
  await vectorsOf(texts),
);
const asQuery = await client.embed({
  model: embeddingModel,
  input: query,
  inputType: 'query',
  outputDimension: 64,
});
assertSameVectors(
  asQuery.data.map(({ embedding }) => embedding),
  await vectorsOf([query], { input_type: 'query', dimensions: 64 }),
);
const ranked = await client.rerank({ model: rerankModel, query, documents });
await assertSameRanking(ranked.data.map(result => [result.index, result.relevanceScore]));
const best = await client.rerank({ model: rerankModel, query, documents, topK: 2, returnDocuments: true });
assert.equal(best.data.length, 2);
assert.equal(best.data[0].document, documents[best.data[0].index]);
assert.ok(best.usage.totalTokens > 0);
const stranger = new VoyageAIClient({ apiKey: 'er-nobody-knows-this-key', environment: `${url}/v1` });
await assert.rejects(
  stranger.embed({ model: embeddingModel, input: texts }),
  error =>
    error instanceof VoyageAIError && error.statusCode === 401 && typeof error.body.detail === 'string',
);
