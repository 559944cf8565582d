import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { clientPrograms } from '../kit/clients.ts';
import { type FakeModel, startFakeModel } from '../kit/fake-model.ts';
import { type Stack, startStack } from '../kit/stack.ts';
import { makeTokenizerFolder } from '../kit/tokenizer-folder.ts';

/** Clients that people have already, in their current versions, with nothing changed but the base URL and the key. */

/** The first test of each kind installs its clients. */
const timeoutMs = 900_000;
const tokenizer = makeTokenizerFolder();
let models: FakeModel[] = [];
let stack: Stack;

before(async () => {
  const [embedding, reranker] = await Promise.all([
    startFakeModel({ role: 'embedding' }),
    startFakeModel({ role: 'reranker' }),
  ]);
  models = [embedding, reranker];
  stack = await startStack({
    workers: 2,
    env: {
      ER_ENGINE: 'external',
      ER_MODELS_EMBEDDING_URLS: embedding.url,
      ER_MODELS_RERANKER_URLS: reranker.url,
      ER_MODELS_EMBEDDING_PATH: tokenizer.path,
      ER_MODELS_RERANKER_PATH: tokenizer.path,
      ER_LIMITS_REQUESTS_PER_MINUTE: '100000',
    },
  });
});
after(async () => {
  await stack?.stop();
  for (const model of models) await model.stop();
  tokenizer.remove();
});

for (const { name, run } of clientPrograms()) {
  test(`${name} works by changing the base URL`, { timeout: timeoutMs }, () => run(stack));
}

test('Jina’s own curl for rerank works, with objects and return_documents', async () => {
  const line = `curl -s ${stack.url}/v1/rerank -H "Content-Type: application/json" -H "Authorization: Bearer ${stack.key}" -d '{
    "model": "Qwen3-Reranker-0.6B", "query": "Organic skincare products for sensitive skin", "top_n": 2,
    "documents": ["Organic skincare for sensitive skin", {"text": "New makeup trends"}, "Bio-Hautpflege"],
    "return_documents": false }'`;
  const { stdout } = await promisify(execFile)('sh', ['-c', line]);
  const answer = JSON.parse(stdout) as {
    results: Record<string, unknown>[];
    usage: { total_tokens: number };
  };
  assert.equal(answer.results.length, 2);
  assert.deepEqual(Object.keys(answer.results[0] ?? {}).sort(), ['index', 'relevance_score']);
  assert.ok(answer.usage.total_tokens > 0);
});

test('Jina’s own curl for embeddings works, with its task', async () => {
  const line = `curl -s ${stack.url}/v1/embeddings -H "Content-Type: application/json" -H "Authorization: Bearer ${stack.key}" -d '{
    "model": "Qwen3-Embedding-0.6B", "task": "retrieval.query", "dimensions": 128, "late_chunking": false,
    "embedding_type": "float", "truncate": true, "input": ["Which is it?"] }'`;
  const { stdout } = await promisify(execFile)('sh', ['-c', line]);
  const answer = JSON.parse(stdout) as { data: { embedding: number[] }[] };
  assert.equal(answer.data[0]?.embedding.length, 128);
});
