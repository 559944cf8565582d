import type { PreparedInput } from '../model-lane.ts';
import { Item, type ItemResult } from '../queue/item.ts';
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
    upstream.dimensions = null;
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

/**
 * The same for a reranker: scores of a pair that belongs together and one that does not must be probabilities, and differ.
 * Which is higher is asked only of real weights: tiny test checkpoints know nothing. A server that fills the template
 * itself (`isTemplatedThere`) must have one, which the number of its tokens shows.
 */
export function rerankerCanary(
  options: CanaryOptions & { hasRealWeights: () => boolean; isTemplatedThere: boolean },
) {
  return async (upstream: Upstream, signal: AbortSignal): Promise<void> => {
    const results = await infer(options, upstream, signal);
    const [relevant = Number.NaN, irrelevant = Number.NaN] = results.map(({ score }) => score);
    if (!(relevant >= 0 && relevant <= 1 && irrelevant >= 0 && irrelevant <= 1))
      fail('its scores are no probabilities');
    if (relevant === irrelevant) {
      fail(
        `every pair gets the score ${relevant.toFixed(3)}: its head is not loaded. Start it with the overrides of Qwen3-Reranker (--hf-overrides, see supervisor/design.md) and a vLLM that knows them`,
      );
    }
    const tokens = results.reduce((sum, result) => sum + result.tokens, 0);
    const isOwnEngine = upstream.model?.builtinModel != null;
    if (options.isTemplatedThere && !isOwnEngine && tokens < leastTemplatedTokens * results.length) {
      fail(
        'it applies no chat template, so its scores are random. Start it with --chat-template supervisor/templates/qwen3_reranker.jinja, or give the gateway the folder of its model (models.reranker.path)',
      );
    }
    if (options.hasRealWeights() && relevant <= irrelevant) {
      fail(
        `a relevant document scores ${relevant.toFixed(3)}, an irrelevant one ${irrelevant.toFixed(3)}: its head or its template is wrong`,
      );
    }
    options.onNumbers(Float32Array.of(relevant, irrelevant));
  };
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
