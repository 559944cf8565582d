import type { EmbedJob } from '@er-gateway/shared/scheduler-protocol';
import { defaultInstruction } from '../tokenize/reranker-prompt.ts';
import {
  cannotCount,
  checkBytes,
  checkIds,
  estimateTokens,
  fieldOf,
  noRoom,
  type PreparedInputs,
  tooLong,
  worthReading,
} from './model-input.ts';
import type { ModelTokenizer } from './model-tokenizer.ts';

/** What stands before a query, to the letter: no space after `Query:` (model card of Qwen3-Embedding). */
const queryPrefix = (instruction: string | null) => `Instruct: ${instruction || defaultInstruction}\nQuery:`;

export interface EmbeddingPreparation {
  /** null: the server tokenizes. */
  tokenizer: ModelTokenizer | null;
  /** The model's length. */
  maxTokens: number;
  /** The built-in model was never taught instructions: its queries go as they are. */
  isBuiltin?: boolean;
  signal: AbortSignal;
}

/**
 * Embedding inputs as the server gets them. With a tokenizer, texts become token ids that end with the model's own last
 * token (vLLM adds none to ids), and ids of the caller are checked and completed alike; without one they go as they are.
 * Throws RequestError naming the input that is too long or holds what is no token.
 */
export async function prepareEmbedding(
  job: EmbedJob,
  { tokenizer, maxTokens, isBuiltin = false, signal }: EmbeddingPreparation,
): Promise<PreparedInputs> {
  const { inputs, truncation } = job;
  const prefix = job.query === null || isBuiltin ? '' : queryPrefix(job.query.instruction);
  if (tokenizer === null) return leaveToServer(job, prefix);
  const limit = Math.min(maxTokens, truncation?.maxTokens ?? maxTokens);
  const nameOf = (index: number) => fieldOf(job.field, index, inputs.length);
  const { longestTokenBytes, vocabularySize } = tokenizer;

  const texts = inputs.flatMap((input, index) => {
    if (typeof input !== 'string') return [];
    if (truncation) {
      const { keep } = truncation;
      return [prefix + worthReading(input, { maxTokens: limit, longestTokenBytes, keep })];
    }
    checkBytes(input, limit, longestTokenBytes, nameOf(index));
    return [prefix + input];
  });
  const [prefixIds = none, ...encoded] =
    texts.length === 0 ? [] : await tokenizer.encode([prefix, ...texts], signal);
  const complete = (ids: ArrayLike<number>) =>
    job.addSpecialTokens ? tokenizer.complete(ids) : Int32Array.from(ids);

  let next = 0;
  const truncated: number[] = [];
  const prepared = inputs.map((input, index) => {
    if (typeof input !== 'string') checkIds(input, vocabularySize, nameOf(index));
    const own = typeof input === 'string' ? (encoded[next++] ?? none) : Int32Array.from(input);
    let ids = complete(own);
    if (ids.length > limit) {
      if (truncation === null) throw tooLong(nameOf(index), ids.length, limit);
      const head = typeof input === 'string' ? prefixIds : none;
      const room = limit - complete(none).length - head.length;
      if (room <= 0) throw noRoom(nameOf(index), limit);
      ids = complete(
        truncation.keep === 'start'
          ? own.slice(0, head.length + room)
          : Int32Array.from([...head, ...withoutEnding(own, complete(none)).slice(-room)]),
      );
      truncated.push(index);
    }
    return { input: { kind: 'ids' as const, ids }, tokens: ids.length };
  });
  return { inputs: prepared, truncated };
}

/** The texts as they are, with the instruction; ids too. What only a tokenizer could do is refused. */
function leaveToServer(
  { inputs, field, truncation, addSpecialTokens }: EmbedJob,
  prefix: string,
): PreparedInputs {
  if ((truncation?.maxTokens ?? null) !== null || !addSpecialTokens) throw cannotCount(field);
  const prepared = inputs.map(input =>
    typeof input === 'string'
      ? { input: { kind: 'text' as const, text: prefix + input }, tokens: estimateTokens(prefix + input) }
      : { input: { kind: 'ids' as const, ids: input }, tokens: input.length },
  );
  return { inputs: prepared, truncated: [] };
}

/** Ids without the model's last token, which callers may have added themselves. */
function withoutEnding(ids: Int32Array, ending: Int32Array): Int32Array {
  const start = ids.length - ending.length;
  return start >= 0 && ending.every((id, place) => ids[start + place] === id) ? ids.slice(0, start) : ids;
}

const none = new Int32Array(0);
