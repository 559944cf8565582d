import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { CohereEmbeddings, CohereRerank } from '@langchain/cohere';
import { OpenAIEmbeddings } from '@langchain/openai';
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

const wanted = await vectorsOf(texts);
const openai = new OpenAIEmbeddings({
  apiKey,
  model: embeddingModel,
  configuration: { baseURL: `${url}/v1` },
});
assertSameVectors(await openai.embedDocuments(texts), wanted);
assertSameVectors([await openai.embedQuery(texts[0])], [wanted[0]]);

// The cohere-ai that LangChain itself depends on.
const { CohereClient } = createRequire(createRequire(import.meta.url).resolve('@langchain/cohere'))(
  'cohere-ai',
);
const client = new CohereClient({ token: apiKey, environment: url });
const cohere = new CohereEmbeddings({ client, model: embeddingModel });
assertSameVectors(await cohere.embedDocuments(texts), wanted);
assertSameVectors([await cohere.embedQuery(query)], await vectorsOf([query], { input_type: 'query' }));
const reranker = new CohereRerank({ client, model: rerankModel, topN: documents.length });
const ranked = await reranker.rerank(documents, query);
await assertSameRanking(ranked.map(result => [result.index, result.relevanceScore]));
const compressed = await reranker.compressDocuments(
  documents.map(pageContent => ({ pageContent, metadata: {} })),
  query,
);
assert.equal(compressed[0].pageContent, documents[ranked[0].index]);
await assert.rejects(
  new CohereRerank({ client, model: 'nothing' }).rerank(documents, query),
  error => error.statusCode === 404 && typeof error.body.message === 'string',
);
await assert.rejects(
  new OpenAIEmbeddings({
    apiKey: 'er-nobody-knows-this-key',
    model: embeddingModel,
    maxRetries: 0,
    configuration: { baseURL: `${url}/v1` },
  }).embedQuery(query),
  error => error.status === 401,
);
