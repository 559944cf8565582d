import type { EmbedJob } from '@er-gateway/shared/scheduler-protocol';
import { joinIds } from '../tokenize/join-ids.ts';
import {
  checkBytes,
  checkIds,
  checkTotal,
  fieldOf,
  noRoom,
  type PreparedInputs,
  tooLong,
  tooLongAround,
  worthReading,
} from './model-input.ts';
import type { ModelTokenizer, TokenizerWork } from './model-tokenizer.ts';
import { instructionBefore, label } from './query-prefix.ts';
import { leaveTextsToServer } from './server-texts.ts';

export interface EmbeddingPreparation {
  /** null: the server tokenizes. */
  tokenizer: ModelTokenizer | null;
  /** The model's length. */
  maxTokens: number;
  /** The built-in model was never taught instructions: its queries go as they are. */
  isBuiltin?: boolean;
  /** What the server's own tokenizer ends each text with; null when it does not tell. Asked without a tokenizer here. */
  endingOfServer?: (signal: AbortSignal) => Promise<number[] | null>;
  work: TokenizerWork;
}

/**
 * Embedding inputs as the server gets them. With a tokenizer, texts become token ids that end with the model's own last
 * token (vLLM adds none to ids), and ids of the caller are checked and completed alike; without one they go as they are.
 * Throws RequestError naming the input that is too long or holds what is no token.
 */
export async function prepareEmbedding(
  job: EmbedJob,
  { tokenizer, maxTokens, isBuiltin = false, endingOfServer = async () => [], work }: EmbeddingPreparation,
): Promise<PreparedInputs> {
  const { inputs, truncation } = job;
  const query = isBuiltin ? null : job.query;
  if (tokenizer === null) return leaveTextsToServer(job, { query, maxTokens, endingOfServer, work });
  const limit = Math.min(maxTokens, truncation?.maxTokens ?? maxTokens);
  const nameOf = (index: number) => fieldOf(job.field, index, inputs.length);
  const { longestTokenBytes, vocabularySize } = tokenizer;
  const complete = (ids: ArrayLike<number>) =>
    job.addSpecialTokens ? tokenizer.complete(ids) : Int32Array.from(ids);
  const ending = complete(none);
  const head = await headOf(query, { tokenizer, limit, ending, work });

  const texts = inputs.flatMap((input, index) => {
    if (typeof input !== 'string') return [];
    if (truncation) {
      const { keep } = truncation;
      return [head.label + worthReading(input, { maxTokens: limit, longestTokenBytes, keep })];
    }
    checkBytes(input, limit, longestTokenBytes, nameOf(index));
    return [head.label + input];
  });
  const encoded = texts.length === 0 ? [] : await tokenizer.encode(texts, work);

  let next = 0;
  const truncated: number[] = [];
  const prepared = inputs.map((input, index) => {
    if (typeof input !== 'string') checkIds(input, vocabularySize, nameOf(index));
    const own = typeof input === 'string' ? (encoded[next++] ?? none) : Int32Array.from(input);
    const { instruction, labelIds } = typeof input === 'string' ? head : noHead;
    let ids = complete(own);
    if (instruction.length + ids.length > limit) {
      if (truncation === null) throw tooLong(nameOf(index), instruction.length + ids.length, limit);
      const room = limit - ending.length - instruction.length - labelIds.length;
      if (room <= 0) throw noRoom(nameOf(index), limit);
      ids = complete(
        truncation.keep === 'start'
          ? own.subarray(0, labelIds.length + room)
          : joinIds([labelIds, withoutEnding(own, ending).slice(-room)]),
      );
      truncated.push(index);
    }
    return {
      input:
        instruction.length === 0
          ? { kind: 'ids' as const, ids }
          : { kind: 'parts' as const, parts: [instruction, ids] },
      tokens: instruction.length + ids.length,
    };
  });
  checkTotal(prepared, job.field);
  return { inputs: prepared, truncated };
}

/** What stands before each text: the instruction's ids, and the label that shares tokens with the text. */
interface Head {
  instruction: Int32Array;
  label: string;
  labelIds: Int32Array;
}

/** Refuses an instruction that is too long by itself, before it is put in front of anything. */
async function headOf(
  query: EmbedJob['query'],
  {
    tokenizer,
    limit,
    ending,
    work,
  }: {
    tokenizer: ModelTokenizer;
    limit: number;
    ending: Int32Array;
    work: TokenizerWork;
  },
): Promise<Head> {
  if (query === null) return noHead;
  const { instruction } = query;
  checkBytes(instruction ?? '', limit, tokenizer.longestTokenBytes, 'instruction');
  const texts = [instructionBefore(instruction), label];
  const [ids = none, labelIds = none] = await tokenizer.encode(texts, work);
  const tokens = ids.length + labelIds.length + ending.length;
  if (instruction && tokens > limit) throw tooLongAround('instruction', tokens, limit);
  return { instruction: ids, label, labelIds };
}

/** Ids without the model's last token, which callers may have added themselves. */
function withoutEnding(ids: Int32Array, ending: Int32Array): Int32Array {
  const start = ids.length - ending.length;
  return start >= 0 && ending.every((id, place) => ids[start + place] === id) ? ids.slice(0, start) : ids;
}

const none = new Int32Array(0);
const noHead: Head = { instruction: none, label: '', labelIds: none };
