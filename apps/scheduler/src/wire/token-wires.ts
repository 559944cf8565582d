import { type Item, type ItemInput, traceOf } from '../queue/item.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { UpstreamFailure } from '../upstream/upstream-failure.ts';
import { areFinite } from './float-bytes.ts';
import { parseVectors } from './list-answer.ts';
import type { Wire } from './wire.ts';

const floatBytes = 4;

/**
 * The cheap form for vLLM: token ids in, float32 in base64 out, on `/pooling`. Seen with vLLM 0.32.0:
 * - `/v1/embeddings` gives the same vectors but first checks ids against a union of types, 20 us of CPU for each id
 *   (32 inputs of 500 ids: 307 ms against 0.5);
 * - `bytes_only` is smaller, but streams: each vector takes a trip through a pool of threads (32 inputs: 15 to 21 ms of the
 *   API process's CPU, base64 11.5).
 */
export const tokenEmbedWire: Wire = {
  canJoinJobs: () => true,
  send: async (upstream, items, signal) => {
    const answers = await pool(upstream, items, signal);
    const size = upstream.dimensions === null ? null : upstream.dimensions * floatBytes;
    return answers.map((vector, place) => {
      const isWrong = size === null ? vector.byteLength === 0 : vector.byteLength !== size;
      if (isWrong || vector.byteLength % floatBytes !== 0) {
        return new UpstreamFailure('nonsense', `answered with a vector of ${vector.byteLength} bytes`);
      }
      return areFinite(vector) ? { vector, tokens: items[place]?.tokens ?? 0 } : notFinite();
    });
  },
};

/** Scores of templated pairs: four bytes each, equal to the last bit to what `/score` says of the same text. */
export const tokenScoreWire: Wire = {
  canJoinJobs: () => true,
  send: async (upstream, items, signal) => {
    const answers = await pool(upstream, items, signal);
    return answers.map((bytes, place) => {
      if (bytes.byteLength > floatBytes) {
        return new UpstreamFailure(
          'nonsense',
          `answered with a vector of ${bytes.byteLength / floatBytes} numbers, not a score: it runs as an embedding model. Start it with the overrides of Qwen3-Reranker (--hf-overrides, see supervisor/design.md)`,
        );
      }
      if (bytes.byteLength !== floatBytes) {
        return new UpstreamFailure('nonsense', `answered with a score of ${bytes.byteLength} bytes`);
      }
      const score = new DataView(bytes.buffer).getFloat32(0, true);
      return Number.isFinite(score) ? { score, tokens: items[place]?.tokens ?? 0 } : notFinite();
    });
  },
};

/** What the server makes of each item, as bytes; none where it gave something else. */
async function pool(upstream: Upstream, items: readonly Item[], signal: AbortSignal): Promise<Uint8Array[]> {
  const inputs = items.map(({ input }) => `[${writeIds(input)}]`);
  const body = `{"model":${JSON.stringify(upstream.model?.id)},"input":[${inputs.join(',')}],"encoding_format":"base64"}`;
  const answer = await upstream.post('/pooling', body, signal, traceOf(items));
  return parseVectors(answer, 'data', items.length).vectors;
}

function writeIds(input: ItemInput): string {
  if (input.kind === 'ids') return input.ids.join(',');
  if (input.kind !== 'parts') throw new Error(`an item of kind ${input.kind} in a batch of token ids`);
  return input.parts
    .filter(part => part.length > 0)
    .map(part => part.join(','))
    .join(',');
}

const notFinite = () => new UpstreamFailure('nonsense', 'answered with numbers that are not finite');
