import type { Role } from '@er-gateway/shared/config/schema';

/** A health check of a server on this machine that loads a model may be slow, but not this slow. */
const healthTimeoutMs = 5_000;
/** The first inference may compile kernels. */
const inferenceTimeoutMs = 120_000;
/** float32 after vLLM's own normalisation. */
const normTolerance = 0.01;

/** One model server and how to ask it. */
export interface ModelServer {
  role: Role;
  /** Without a trailing slash. */
  url: string;
  servedName: string;
}

/** Whether the server says that it serves. vLLM listens only once its model is loaded; 503 means a dead engine. */
export async function isHealthy({ url }: ModelServer, stop: AbortSignal): Promise<boolean> {
  try {
    const signal = AbortSignal.any([stop, AbortSignal.timeout(healthTimeoutMs)]);
    const response = await fetch(`${url}/health`, { signal });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

/**
 * What is wrong with a real answer of the model; null when nothing is. /health runs no model, so only this proves that
 * it can answer. The place for deeper self-tests (known texts, known scores) is here.
 */
export async function inferenceProblem(server: ModelServer, stop: AbortSignal): Promise<string | null> {
  const { path, body, problemOf } = probes[server.role];
  try {
    const signal = AbortSignal.any([stop, AbortSignal.timeout(inferenceTimeoutMs)]);
    const response = await fetch(server.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: server.servedName, ...body }),
      signal,
    });
    const text = await response.text();
    if (!response.ok) return `${path} answered ${response.status}: ${text.slice(0, 200)}`;
    return problemOf(JSON.parse(text));
  } catch (error) {
    return `${path} failed: ${(error as Error).message}`;
  }
}

const probes = {
  embedding: {
    path: '/v1/embeddings',
    body: { input: ['Is this server ready?'], encoding_format: 'float' },
    problemOf: embeddingProblem,
  },
  // In this form every version of vLLM takes it.
  reranker: {
    path: '/rerank',
    body: { query: 'Is this server ready?', documents: ['It answers.'] },
    problemOf: scoreProblem,
  },
} as const;

/** What is wrong with an answer to one text of /v1/embeddings; null when nothing is. */
export function embeddingProblem(answer: unknown): string | null {
  const items = (answer as { data?: { embedding?: unknown }[] } | null)?.data;
  if (!Array.isArray(items) || items.length !== 1) return 'not one embedding for one text';
  const vector: unknown = items[0]?.embedding;
  if (!Array.isArray(vector) || vector.length === 0) return 'the embedding is no list of numbers';
  if (!vector.every(value => Number.isFinite(value))) return 'the embedding holds values that are no numbers';
  const norm = Math.hypot(...(vector as number[]));
  if (Math.abs(norm - 1) > normTolerance) return `the embedding has length ${norm.toFixed(3)} instead of 1`;
  return null;
}

/** What is wrong with an answer for one document of /rerank; null when nothing is. */
export function scoreProblem(answer: unknown): string | null {
  const results = (answer as { results?: { relevance_score?: unknown }[] } | null)?.results;
  if (!Array.isArray(results) || results.length !== 1) return 'not one score for one document';
  const score: unknown = results[0]?.relevance_score;
  if (typeof score !== 'number' || !Number.isFinite(score)) return 'the score is no number';
  if (score < 0 || score > 1) return `the score ${score} is not between 0 and 1`;
  return null;
}
