import assert from 'node:assert/strict';
import { OpenAIEmbedding } from '@llamaindex/openai';
import { apiKey, assertSameVectors, embeddingModel, texts, url, vectorsOf } from './reference.mjs';

const embeddings = new OpenAIEmbedding({ apiKey, baseURL: `${url}/v1`, model: embeddingModel });
const wanted = await vectorsOf(texts);
assertSameVectors(await embeddings.getTextEmbeddings(texts), wanted);
assertSameVectors([await embeddings.getTextEmbedding(texts[1])], [wanted[1]]);
const wrong = new OpenAIEmbedding({ apiKey, baseURL: `${url}/v1`, model: 'nothing', maxRetries: 0 });
await assert.rejects(wrong.getTextEmbeddings(texts), error => error.status === 404);
