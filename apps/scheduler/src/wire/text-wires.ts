import { type Item, type ServerCut, traceOf } from '../queue/item.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { UpstreamFailure } from '../upstream/upstream-failure.ts';
import { areFinite } from './float-bytes.ts';
import { type ListAnswer, parseList, parseVectors } from './list-answer.ts';
import type { Wire } from './wire.ts';

/** An answer in JSON. `prompt_tokens` of an item is the built-in engine's own; vLLM only tells the sum. */
interface TextAnswer extends ListAnswer {
  data: { index: number; prompt_tokens?: number; score?: number }[];
  usage: { prompt_tokens: number };
}

/** Our built-in engine tells each item's tokens, so that its calls may be shared. */
const canJoinJobs = (upstream: Upstream) => upstream.model?.builtinModel != null;

/** Texts for a server whose tokenizer we do not have. Vectors come in base64: a quarter of JSON's bytes. */
export const textEmbedWire: Wire = {
  canJoinJobs,
  send: async (upstream, items, signal) => {
    const input = items.map(({ input }) =>
      input.kind === 'ids' ? Array.from(input.ids) : input.kind === 'text' ? input.text : '',
    );
    const body = { model: upstream.model?.id, input, encoding_format: 'base64', ...cutOf(items) };
    const bytes = await upstream.post('/v1/embeddings', JSON.stringify(body), signal, traceOf(items));
    const { answer, vectors } = parseVectors<TextAnswer>(bytes, 'embedding', items.length);
    return vectors.map((vector, place) => {
      const wanted = upstream.dimensions === null ? vector.byteLength : upstream.dimensions * 4;
      if (vector.byteLength === 0 || vector.byteLength % 4 !== 0 || vector.byteLength !== wanted) {
        return new UpstreamFailure('nonsense', `answered with a vector of ${vector.byteLength} bytes`);
      }
      if (!areFinite(vector))
        return new UpstreamFailure('nonsense', 'answered with numbers that are not finite');
      return { vector, tokens: tokensOf(answer, place) };
    });
  },
};

/** Pairs of texts; the server applies the template, which it was started with. */
export const textScoreWire: Wire = {
  canJoinJobs,
  send: async (upstream, items, signal) => {
    const pairs = items.map(({ input }) => {
      if (input.kind !== 'pair') throw new Error(`an item of kind ${input.kind} in a batch of pairs`);
      return input;
    });
    const instruction = pairs[0]?.instruction ?? null;
    const body = {
      model: upstream.model?.id,
      queries: pairs.map(({ query }) => query),
      documents: pairs.map(({ document }) => document),
      ...(instruction !== null && { instruction }),
      ...cutOf(items),
    };
    const answer = parseList<TextAnswer>(
      await upstream.post('/score', JSON.stringify(body), signal, traceOf(items)),
      items.length,
    );
    return answer.data.map(({ score }, place) => {
      if (!Number.isFinite(score))
        return new UpstreamFailure('nonsense', 'answered with a score that is not finite');
      return { score: score as number, tokens: tokensOf(answer, place) };
    });
  },
};

/** How the server cuts these items: all of a call alike (see either-wire.ts). */
const cutOf = ([first]: readonly Item[]): ServerCut =>
  (first !== undefined && 'cut' in first.input && first.input.cut) || {};

/** An item's own tokens; without them the first item of the call stands for all (calls are not shared then). */
function tokensOf({ data, usage }: TextAnswer, place: number): number {
  return data[place]?.prompt_tokens ?? (place === 0 ? usage.prompt_tokens : 0);
}
