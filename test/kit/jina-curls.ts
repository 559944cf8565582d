import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Jina has no client: its documentation shows curl. Its two calls, as they stand there but for the address and names. */
export async function jinaCurls({ url, key }: { url: string; key: string }): Promise<void> {
  const curl = async (path: string, body: string): Promise<unknown> => {
    const line = `curl -s ${url}${path} -H "Content-Type: application/json" -H "Authorization: Bearer ${key}" -d '${body}'`;
    return JSON.parse((await promisify(execFile)('sh', ['-c', line])).stdout);
  };
  const reranked = (await curl(
    '/v1/rerank',
    `{
      "model": "Qwen3-Reranker-0.6B", "query": "Organic skincare products for sensitive skin", "top_n": 2,
      "documents": ["Organic skincare for sensitive skin", {"text": "New makeup trends"}, "Bio-Hautpflege"],
      "return_documents": false }`,
  )) as { results: Record<string, unknown>[]; usage: { total_tokens: number } };
  assert.equal(reranked.results.length, 2);
  assert.deepEqual(Object.keys(reranked.results[0] ?? {}).sort(), ['index', 'relevance_score']);
  assert.ok(reranked.usage.total_tokens > 0);

  const embedded = (await curl(
    '/v1/embeddings',
    `{
      "model": "Qwen3-Embedding-0.6B", "task": "retrieval.query", "dimensions": 128, "late_chunking": false,
      "embedding_type": "float", "truncate": true, "input": ["Which is it?"] }`,
  )) as { data: { embedding: number[] }[] };
  assert.equal(embedded.data[0]?.embedding.length, 128);

  const refused = (await curl('/v1/rerank', '{"query": "q", "documents": []}')) as { detail: string };
  assert.match(refused.detail, /documents is empty/);
}
