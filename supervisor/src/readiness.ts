import type { Engine } from '@er-gateway/shared/config/effective-config';
import type { Role } from '@er-gateway/shared/config/schema';
import { rerankerPrompt } from './reranker-prompt.ts';

/** A health check of a server on this machine that loads a model may be slow, but not this slow. */
const healthTimeoutMs = 5_000;
/** The first inference may compile kernels. */
const inferenceTimeoutMs = 120_000;
/** float32 after vLLM's own normalisation; bfloat16 models are off by less than a thousandth. */
const normTolerance = 0.01;
/** How alike the vectors of one text sent twice must be: what else is in a batch changes the last bits. */
const leastCosine = 0.999;
/** How far two ways to one score may differ, for the same reason. */
const scoreTolerance = 0.02;
/** What trained weights say of a document that answers the query, and of one that has nothing to do with it. */
const leastRelevant = 0.5;
const mostIrrelevant = 0.05;

/** One model server and how to ask it. */
export interface ModelServer {
  role: Role;
  engine: Engine;
  /** Without a trailing slash. */
  url: string;
  servedName: string;
  /** Length of its vectors by the model's own config.json; null when that is not known. */
  dimensions: number | null;
  /** Whether its weights are trained, so that scores mean something. */
  hasRealWeights: boolean;
  /** Whether it was started with the reranker's template, which it then applies to texts. */
  hasTemplate: boolean;
  /** Tokens of the longest input. */
  maxModelLen: number;
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
 * What is wrong with real answers of the model; null when nothing is. /health runs no model, so only this proves that it
 * can answer, and answers what it should.
 */
export async function selfTestProblem(server: ModelServer, stop: AbortSignal): Promise<string | null> {
  try {
    return await (server.role === 'embedding' ? testVectors(server, stop) : testScores(server, stop));
  } catch (error) {
    return (error as Error).message;
  }
}

/**
 * Asks for a larger batch: its size decides which kernels run, and the first real one should find them compiled. Ours
 * compiles none. Resolves to why that was not answered, which keeps nobody from being served.
 */
export async function warmUpProblem(server: ModelServer, stop: AbortSignal): Promise<string | null> {
  if (server.engine !== 'vllm') return null;
  try {
    await ask(server, stop, probeOf(server.role, warmUpTexts(server.maxModelLen)));
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

/** What is wrong with one small answer of a server that was ready; null when nothing is. Full (503, 429) is not wrong. */
export async function canaryProblem(server: ModelServer, signal: AbortSignal): Promise<string | null> {
  try {
    const answer = await ask(server, signal, probeOf(server.role, [texts.relevant]));
    return server.role === 'embedding'
      ? vectorsProblem(vectorsIn(answer), 1, server.dimensions)
      : scoresProblem(scoresIn(answer), 1);
  } catch (error) {
    return error instanceof AnswerError && error.isFull ? null : (error as Error).message;
  }
}

/** How much work the server has finished, by its own counters (any change is progress); null when it does not say. */
export async function readProgress(url: string, timeoutMs: number): Promise<string | null> {
  try {
    const response = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(timeoutMs) });
    const lines = (await response.text()).split('\n');
    const counters = /^vllm:(request_success_total|prompt_tokens_total|iteration_tokens_total_count)\b/;
    const found = lines.filter(line => counters.test(line));
    return found.length === 0 ? null : found.join('\n');
  } catch {
    return null;
  }
}

const texts = {
  query: 'What is the capital of France?',
  relevant: 'The capital of France is Paris.',
  irrelevant: 'Bananas are yellow fruits.',
};
/** At most: of one repetition of the text, and of a pair's prompt without its document. */
const warmUpTokens = { text: 8, prompt: 120 };

/** Sixteen texts, the longest of some 400 tokens, or as long as the model takes. */
export function warmUpTexts(maxModelLen: number): string[] {
  const most = Math.max(1, Math.floor((maxModelLen - warmUpTokens.prompt) / warmUpTokens.text));
  return Array.from({ length: 16 }, (_, index) =>
    `${texts.irrelevant} `.repeat(Math.min(1 + 4 * index, most)),
  );
}

interface Question {
  path: string;
  body: object;
}

const probeOf = (role: Role, inputs: readonly string[]): Question =>
  role === 'embedding'
    ? { path: '/v1/embeddings', body: { input: inputs, encoding_format: 'float' } }
    : // In this form every version of vLLM takes it.
      { path: '/rerank', body: { query: texts.query, documents: inputs } };

/** A document that answers the query, and one that does not; and both as Qwen's whole prompt. */
const pair = [texts.relevant, texts.irrelevant];
const writtenOut: Question = {
  path: '/classify',
  body: { input: pair.map(document => rerankerPrompt(texts.query, document)) },
};

async function testVectors(server: ModelServer, stop: AbortSignal): Promise<string | null> {
  const inputs = [texts.relevant, texts.irrelevant, texts.relevant];
  const vectors = vectorsIn(await ask(server, stop, probeOf('embedding', inputs)));
  const problem = vectorsProblem(vectors, inputs.length, server.dimensions);
  if (problem !== null) return problem;
  const [first, second, again] = vectors as [number[], number[], number[]];
  if (first.every((value, index) => value === second[index])) return 'different texts get the same vector';
  if (cosine(first, again) < leastCosine) return 'the same text gets two different vectors';
  return null;
}

async function testScores(server: ModelServer, stop: AbortSignal): Promise<string | null> {
  // A vLLM that takes no template (before 0.14) glues texts together: it gets the whole prompt, as the gateway sends it.
  const isBare = server.engine === 'vllm' && !server.hasTemplate;
  const answer = await ask(server, stop, isBare ? writtenOut : probeOf('reranker', pair));
  const scores = isBare ? probabilitiesIn(answer) : scoresIn(answer);
  const problem = scoresProblem(scores, pair.length);
  if (problem !== null) return problem;
  if (scores[0] === scores[1]) return `every document gets the score ${scores[0]}: the head is not loaded`;
  const [relevant = Number.NaN, irrelevant = Number.NaN] = scores;
  if (server.hasRealWeights && !(relevant >= leastRelevant && irrelevant <= mostIrrelevant)) {
    return `a document that answers the query scores ${relevant.toFixed(3)}, one that does not ${irrelevant.toFixed(3)}: its template or its head is wrong`;
  }
  return server.engine === 'vllm' && server.hasTemplate ? testTemplate(server, stop, scores, answer) : null;
}

/** Whether the server's own prompt is Qwen's: the same pairs, written out by us, must score the same. */
async function testTemplate(
  server: ModelServer,
  stop: AbortSignal,
  scores: readonly number[],
  answer: unknown,
): Promise<string | null> {
  const written = await ask(server, stop, writtenOut);
  const expected = probabilitiesIn(written);
  const isOther = (score: number, index: number) =>
    !(Math.abs(score - (expected[index] ?? Number.NaN)) <= scoreTolerance);
  if (scores.some(isOther) || tokensIn(answer) !== tokensIn(written)) {
    return `its template is not Qwen's: pairs score ${scores.join(' and ')} with ${tokensIn(answer)} tokens, the right prompt ${expected.join(' and ')} with ${tokensIn(written)}`;
  }
  return null;
}

/** What is wrong with vectors that should be finite, of length 1 and of this size; null when nothing is. */
export function vectorsProblem(
  vectors: readonly (readonly unknown[])[],
  count: number,
  dimensions: number | null,
): string | null {
  if (vectors.length !== count) return `${vectors.length} embeddings for ${count} texts`;
  const size = dimensions ?? vectors[0]?.length ?? 0;
  for (const vector of vectors) {
    if (!Array.isArray(vector) || vector.length === 0) return 'an embedding is no list of numbers';
    if (vector.length !== size) return `an embedding has ${vector.length} numbers instead of ${size}`;
    if (!vector.every(value => Number.isFinite(value)))
      return 'an embedding holds values that are no numbers';
    const norm = Math.hypot(...(vector as number[]));
    if (Math.abs(norm - 1) > normTolerance) return `an embedding has length ${norm.toFixed(3)} instead of 1`;
  }
  return null;
}

/** What is wrong with scores that should be probabilities; null when nothing is. */
export function scoresProblem(scores: readonly unknown[], count: number): string | null {
  if (scores.length !== count) return `${scores.length} scores for ${count} documents`;
  for (const score of scores) {
    if (typeof score !== 'number' || !Number.isFinite(score)) return 'a score is no number';
    if (score < 0 || score > 1) return `the score ${score} is not between 0 and 1`;
  }
  return null;
}

/** The vectors of an answer of /v1/embeddings, in the order of the texts. */
function vectorsIn(answer: unknown): unknown[][] {
  const { data } = (answer ?? {}) as { data?: { index?: number; embedding?: unknown[] }[] };
  if (!Array.isArray(data)) return [];
  return [...data].sort((a, b) => (a.index ?? 0) - (b.index ?? 0)).map(item => item.embedding as unknown[]);
}

/** The scores of an answer of /rerank, in the order of the documents. */
function scoresIn(answer: unknown): number[] {
  const { results } = (answer ?? {}) as { results?: { index?: number; relevance_score?: number }[] };
  if (!Array.isArray(results)) return [];
  return [...results]
    .sort((a, b) => (a.index ?? 0) - (b.index ?? 0))
    .map(item => item.relevance_score as number);
}

/** The scores of an answer of /classify. */
function probabilitiesIn(answer: unknown): number[] {
  const { data } = (answer ?? {}) as { data?: { index?: number; probs?: number[] }[] };
  if (!Array.isArray(data)) return [];
  return [...data]
    .sort((a, b) => (a.index ?? 0) - (b.index ?? 0))
    .map(({ probs }) => probs?.[0] ?? Number.NaN);
}

const tokensIn = (answer: unknown) => {
  const { usage } = (answer ?? {}) as { usage?: { prompt_tokens?: number; total_tokens?: number } };
  return usage?.prompt_tokens ?? usage?.total_tokens;
};

const cosine = (a: readonly number[], b: readonly number[]) =>
  a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);

/** An answer that is no 200. */
class AnswerError extends Error {
  readonly isFull: boolean;

  constructor(path: string, status: number, body: string) {
    super(`${path} answered ${status}: ${body.slice(0, 200)}`);
    this.isFull = status === 503 || status === 429;
  }
}

async function ask(server: ModelServer, stop: AbortSignal, { path, body }: Question): Promise<unknown> {
  const signal = AbortSignal.any([stop, AbortSignal.timeout(inferenceTimeoutMs)]);
  let text: string;
  try {
    const response = await fetch(server.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: server.servedName, ...body }),
      signal,
    });
    text = await response.text();
    if (!response.ok) throw new AnswerError(path, response.status, text);
  } catch (error) {
    if (error instanceof AnswerError) throw error;
    throw new Error(`${path} failed: ${(error as Error).message}`, { cause: error });
  }
  return JSON.parse(text);
}
