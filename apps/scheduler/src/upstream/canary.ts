import type { PreparedInput } from '../model-lane.ts';
import { Item, type ItemResult } from '../queue/item.ts';
import { type ListAnswer, parseList } from '../wire/list-answer.ts';
import type { Wire } from '../wire/wire.ts';
import type { Upstream } from './upstream.ts';
import { UpstreamFailure } from './upstream-failure.ts';

/** How far a vector's length may be from 1: bfloat16 servers are off by less than a thousandth. */
const normTolerance = 0.01;

/** What a canary needs: the same way to the server that traffic takes, and the inputs to try. */
export interface CanaryOptions {
  wire: () => Wire;
  inputs: () => Promise<PreparedInput[]>;
  /** The numbers of a canary that came out right: what they are tells one model from another. */
  onNumbers: (numbers: Float32Array) => void;
}

/**
 * A real inference before traffic: an open port proves nothing. The vectors must be finite, of length 1, of one size,
 * and differ for different texts. The server's vector size is learned from it.
 */
export function embeddingCanary(options: CanaryOptions) {
  return async (upstream: Upstream, signal: AbortSignal): Promise<void> => {
    // While it serves, another size is wrong: its calls go by the one that was learned.
    if (!upstream.isReady) upstream.dimensions = null;
    const vectors = (await infer(options, upstream, signal)).map(({ vector }) => floatsOf(vector));
    for (const vector of vectors) {
      const norm = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
      if (Math.abs(norm - 1) > normTolerance) fail(`its vectors have length ${norm.toFixed(3)}, not 1`);
    }
    const [first, second] = vectors as [Float32Array, Float32Array];
    if (first.length !== second.length) fail('its vectors are of different sizes');
    if (first.every((value, index) => value === second[index])) fail('different texts get the same vector');
    upstream.dimensions = first.length;
    options.onNumbers(Float32Array.of(...first, ...second));
  };
}

/** Tokens of Qwen's template with nothing in it are 65 and more; a short pair without it has 20. */
const leastTemplatedTokens = 50;
/** What trained weights say of a document that answers the query, and of one that has nothing to do with it. */
const leastRelevant = 0.5;
const mostIrrelevant = 0.05;
/** How far the scores of weights that nobody has trained may be apart: a few hundredths. */
const untrainedSpread = 0.2;
/** How far two ways to one score may differ: what else is in a batch changes the last bits. */
const scoreTolerance = 0.02;

const headAdvice =
  'Start it with the overrides of Qwen3-Reranker (--hf-overrides, see supervisor/design.md) and a vLLM that knows them';
const templateAdvice =
  'Start it with --chat-template supervisor/templates/qwen3_reranker.jinja, or give the gateway the folder of its model (models.reranker.path)';

export interface RerankerCanaryOptions extends CanaryOptions {
  /** Trained, as far as its folder here tells; false when there is none. */
  hasRealWeights: () => boolean;
  /** Whether the server fills the template itself: its tokenizer is not here. */
  isTemplatedThere: () => boolean;
  /** The inputs in Qwen's template, as texts. */
  prompts: readonly string[];
}

/**
 * The same for a reranker: scores of a pair that belongs together and one that does not must be probabilities, and differ;
 * with trained weights, be high and low. Tiny test checkpoints know nothing: without a folder that says what they are, the
 * scores must not tell the opposite. A server that fills the template itself must have Qwen's.
 */
export function rerankerCanary(options: RerankerCanaryOptions) {
  return async (upstream: Upstream, signal: AbortSignal): Promise<void> => {
    const isForeign = options.isTemplatedThere() && upstream.model?.builtinModel == null;
    // First: an embedding server answers /score too, with cosines.
    const written = isForeign ? await scorePrompts(options.prompts, upstream, signal) : null;
    const results = await infer(options, upstream, signal);
    const scores = results.map(({ score }) => score ?? Number.NaN);
    const [relevant, irrelevant] = scores as [number, number];
    if (!scores.every(score => score >= 0 && score <= 1)) fail('its scores are no probabilities');
    if (relevant === irrelevant)
      fail(`every pair gets the score ${relevant.toFixed(3)}: its head is not loaded. ${headAdvice}`);
    if (written !== null) checkTemplate(results, written);
    const isTold = `a relevant document scores ${relevant.toFixed(3)}, an irrelevant one ${irrelevant.toFixed(3)}`;
    const isRight = options.hasRealWeights()
      ? relevant >= leastRelevant && irrelevant <= mostIrrelevant
      : !isForeign || irrelevant - relevant < untrainedSpread;
    if (!isRight) fail(`${isTold}: its head or its template is wrong. ${headAdvice}`);
    options.onNumbers(Float32Array.of(relevant, irrelevant));
  };
}

interface WrittenScores {
  scores: number[];
  tokens: number;
}

/** Scores of prompts that we have written out; vLLM applies no template to /classify. Only a reranker has it. */
async function scorePrompts(
  prompts: readonly string[],
  upstream: Upstream,
  signal: AbortSignal,
): Promise<WrittenScores> {
  let answer: Buffer;
  try {
    answer = await upstream.post(
      '/classify',
      JSON.stringify({ model: upstream.model?.id, input: prompts }),
      signal,
    );
  } catch (error) {
    if (!(error instanceof UpstreamFailure && error.isRefusalOfRequest)) throw error;
    fail(`it does not run as a reranker: it refuses /classify. ${headAdvice}`);
  }
  const { data, usage } = parseList<ClassifyAnswer>(answer, prompts.length);
  return { scores: data.map(({ probs }) => probs?.[0] ?? Number.NaN), tokens: usage?.prompt_tokens ?? 0 };
}

interface ClassifyAnswer extends ListAnswer {
  data: { index: number; probs?: number[] }[];
  usage?: { prompt_tokens?: number };
}

/** Whether the server's own prompt is Qwen's: the same pairs written out by us must score the same. */
function checkTemplate(results: readonly ItemResult[], written: WrittenScores): void {
  const tokens = results.reduce((sum, result) => sum + result.tokens, 0);
  if (tokens < leastTemplatedTokens * results.length)
    fail(`it applies no chat template, so its scores are random. ${templateAdvice}`);
  const isOther = ({ score = Number.NaN }: ItemResult, index: number) =>
    !(Math.abs(score - (written.scores[index] ?? Number.NaN)) <= scoreTolerance);
  if (!results.some(isOther) && tokens === written.tokens) return;
  const told = (scores: readonly (number | undefined)[]) =>
    scores.map(score => score?.toFixed(3)).join(' and ');
  fail(
    `its chat template is not Qwen's: pairs score ${told(results.map(({ score }) => score))} with ${tokens} tokens, the right prompt ${told(written.scores)} with ${written.tokens} (vLLM's own example lacks a line break at its end). ${templateAdvice}`,
  );
}

async function infer(
  { wire, inputs }: CanaryOptions,
  upstream: Upstream,
  signal: AbortSignal,
): Promise<ItemResult[]> {
  const job = {};
  const items = (await inputs()).map(
    ({ input, tokens }) => new Item({ input, tokens, keyId: 'canary', priority: 'interactive', job }),
  );
  const results = await wire().send(upstream, items, signal);
  for (const result of results) if (result instanceof UpstreamFailure) throw result;
  return results as ItemResult[];
}

const floatsOf = (bytes: Uint8Array = new Uint8Array()) =>
  new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);

function fail(why: string): never {
  throw new UpstreamFailure('nonsense', `fails its test: ${why}`);
}
