import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** The four calls that everybody pastes, word for word as they are documented. */
export const fourCurls = {
  models: `curl -H "Authorization: Bearer YOUR_API_KEY" http://localhost:2048/v1/models`,
  embeddings: `curl -X POST -H "Authorization: Bearer YOUR_API_KEY" -H "Content-Type: application/json" \\
  -d '{"model": "Qwen3-Embedding-0.6B", "input": "Hello, world!"}' http://localhost:2048/v1/embeddings`,
  rerank: `curl -X POST -H "Authorization: Bearer YOUR_API_KEY" -H "Content-Type: application/json" \\
  -d '{"model": "Qwen3-Reranker-0.6B", "query": "What is AI?", "documents": ["AI is artificial intelligence", "AI helps humans"]}' \\
  http://localhost:2048/v1/rerank`,
  health: `curl http://localhost:2048/health`,
};

/** Runs one of them in a shell, with this key and this gateway's port put in; resolves to the JSON that it prints. */
export async function runCurl(command: string, { url, key }: { url: string; key: string }): Promise<unknown> {
  const line = command
    .replace('YOUR_API_KEY', key)
    .replace('localhost:2048', `localhost:${new URL(url).port}`);
  const { stdout } = await promisify(execFile)('sh', ['-c', line]);
  return JSON.parse(stdout);
}
