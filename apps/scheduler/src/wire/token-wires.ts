import type { Item } from '../queue/item.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { UpstreamFailure } from '../upstream/upstream-failure.ts';
import { areFinite, ownBytes } from './float-bytes.ts';
import type { Wire } from './wire.ts';

const floatBytes = 4;

/**
 * The cheap form for vLLM: token ids in, raw float32 out. `bytes_only` has no metadata header, which would pass Node's
 * limit for headers at 140 inputs. `/pooling` and not `/v1/embeddings`, which gives the same vectors but first checks ids
 * against a union of types, 20 us of CPU for each id (seen with vLLM 0.32.0: 32 inputs of 500 ids, 307 ms against 0.5).
 */
export const tokenEmbedWire: Wire = {
  canJoinJobs: () => true,
  send: async (upstream, items, signal) => {
    const answer = await upstream.post('/pooling', bodyOf(upstream, items), signal);
    const size = answer.byteLength / items.length;
    const wanted = upstream.dimensions === null ? size : upstream.dimensions * floatBytes;
    if (answer.byteLength === 0 || size !== wanted || size % floatBytes !== 0) {
      throw new UpstreamFailure(
        'nonsense',
        `answered ${items.length} inputs with ${answer.byteLength} bytes`,
      );
    }
    return items.map(({ tokens }, index) => {
      const vector = ownBytes(answer, index * size, (index + 1) * size);
      return areFinite(vector) ? { vector, tokens } : notFinite();
    });
  },
};

/** Scores of templated pairs: four bytes each, equal to the last bit to what `/score` says of the same text. */
export const tokenScoreWire: Wire = {
  canJoinJobs: () => true,
  send: async (upstream, items, signal) => {
    const answer = await upstream.post('/pooling', bodyOf(upstream, items), signal);
    if (answer.byteLength !== items.length * floatBytes) {
      throw new UpstreamFailure('nonsense', `answered ${items.length} pairs with ${answer.byteLength} bytes`);
    }
    const view = new DataView(answer.buffer, answer.byteOffset, answer.byteLength);
    return items.map(({ tokens }, index) => {
      const score = view.getFloat32(index * floatBytes, true);
      return Number.isFinite(score) ? { score, tokens } : notFinite();
    });
  },
};

function bodyOf(upstream: Upstream, items: readonly Item[]): string {
  const inputs = items.map(({ input }) => {
    if (input.kind !== 'ids') throw new Error(`an item of kind ${input.kind} in a batch of token ids`);
    return `[${input.ids.join(',')}]`;
  });
  return `{"model":${JSON.stringify(upstream.model?.id)},"input":[${inputs.join(',')}],"encoding_format":"bytes_only"}`;
}

const notFinite = () => new UpstreamFailure('nonsense', 'answered with numbers that are not finite');
