import assert from 'node:assert/strict';
import { CohereClient, CohereClientV2, CohereError } from 'cohere-ai';
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

const options = { token: apiKey, environment: url, maxRetries: 0 };

const v2 = new CohereClientV2(options);
const embedded = await v2.embed({
  model: embeddingModel,
  texts,
  inputType: 'search_document',
  embeddingTypes: ['float', 'int8', 'ubinary'],
});
assertSameVectors(embedded.embeddings.float, await vectorsOf(texts));
assert.equal(embedded.embeddings.int8[0].length, embedded.embeddings.float[0].length);
assert.equal(embedded.embeddings.ubinary[0].length, embedded.embeddings.float[0].length / 8);
assert.ok(embedded.meta.billedUnits.inputTokens > 0);
const asQuery = await v2.embed({
  model: embeddingModel,
  texts: [query],
  inputType: 'search_query',
  embeddingTypes: ['float'],
});
assertSameVectors(asQuery.embeddings.float, await vectorsOf([query], { input_type: 'query' }));
const ranked = await v2.rerank({ model: rerankModel, query, documents });
await assertSameRanking(ranked.results.map(result => [result.index, result.relevanceScore]));
assert.equal(ranked.meta.billedUnits.searchUnits, 1);
const best = await v2.rerank({ model: rerankModel, query, documents, topN: 1 });
assert.equal(best.results.length, 1);
await assert.rejects(
  v2.rerank({ model: 'nothing', query, documents }),
  error => error instanceof CohereError && error.statusCode === 404 && typeof error.body.message === 'string',
);

const v1 = new CohereClient(options);
const old = await v1.rerank({
  model: rerankModel,
  query,
  documents: documents.map(text => ({ text })),
  returnDocuments: true,
});
await assertSameRanking(old.results.map(result => [result.index, result.relevanceScore]));
assert.equal(old.results[0].document.text, documents[old.results[0].index]);
const floats = await v1.embed({ model: embeddingModel, texts, inputType: 'search_document' });
assertSameVectors(floats.embeddings, await vectorsOf(texts));
await assert.rejects(
  v1.rerank({ model: rerankModel, query, documents: [] }),
  error =>
    error instanceof CohereError && error.statusCode === 400 && /documents is empty/.test(error.body.message),
);
