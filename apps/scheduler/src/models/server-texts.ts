import type { EmbedJob, ScoreJob, Truncation } from '@er-gateway/shared/scheduler-protocol';
import type { ServerCut } from '../queue/item.ts';
import { defaultInstruction } from '../tokenize/reranker-prompt.ts';
import {
  checkTotal,
  estimateTokens,
  fieldOf,
  needsTokenizer,
  noRoom,
  type PreparedInputs,
  tooLong,
} from './model-input.ts';
import type { TokenizerWork } from './model-tokenizer.ts';
import { instructionBefore, label } from './query-prefix.ts';

// Inputs for a server whose tokenizer is not here. It cuts by its own fields, which keep what must stay: the last token, the
// template. Which texts it has cut it does not tell.

/** Tokens of Qwen's template with the model card's instruction in it, and some to spare. */
const templateTokens = 120;

/**
 * Texts as they are, with the instruction. Ids of the caller get the server's own ending, without which their vectors mean
 * nothing; they are cut here. What only a tokenizer could do is refused.
 */
export async function leaveTextsToServer(
  { inputs, field, truncation, addSpecialTokens }: EmbedJob,
  {
    query,
    maxTokens,
    endingOfServer,
    work,
  }: {
    query: EmbedJob['query'];
    maxTokens: number;
    endingOfServer: (signal: AbortSignal) => Promise<number[] | null>;
    work: TokenizerWork;
  },
): Promise<PreparedInputs> {
  if (!addSpecialTokens) throw needsTokenizer(field, 'add_special_tokens: false');
  const limit = Math.min(maxTokens, truncation?.maxTokens ?? maxTokens);
  const nameOf = (index: number) => fieldOf(field, index, inputs.length);
  const prefix = query === null ? '' : instructionBefore(query.instruction) + label;
  // A token is a byte at least.
  if (truncation && limit < maxTokens && Buffer.byteLength(prefix) >= limit) throw noRoom(field, limit);
  const cut =
    truncation === null ? undefined : { truncate_prompt_tokens: truncation.maxTokens === null ? -1 : limit };
  if (cut !== undefined && inputs.some(input => typeof input === 'string'))
    refuseKeepingEnd(truncation, field);
  const ending = inputs.every(input => typeof input === 'string') ? [] : await endingOfServer(work.signal);
  if (ending === null) throw needsTokenizer(field, 'Sending token ids');

  const truncated: number[] = [];
  const prepared = inputs.map((input, index) => {
    if (typeof input === 'string') {
      const text = prefix + input;
      return { input: { kind: 'text' as const, text, ...(cut && { cut }) }, tokens: estimateTokens(text) };
    }
    let own = endsWith(input, ending) ? input.slice(0, input.length - ending.length) : input;
    const room = limit - ending.length;
    if (own.length > room) {
      if (truncation === null) throw tooLong(nameOf(index), own.length + ending.length, limit);
      if (room <= 0) throw noRoom(nameOf(index), limit);
      own = truncation.keep === 'start' ? own.slice(0, room) : own.slice(-room);
      truncated.push(index);
    }
    return { input: { kind: 'ids' as const, ids: [...own, ...ending] }, tokens: own.length + ending.length };
  });
  checkTotal(prepared, field);
  return { inputs: prepared, truncated };
}

/** Pairs as they are; their server fills the template, and cuts documents before it does. */
export function leavePairsToServer(job: ScoreJob, maxTokens: number): PreparedInputs {
  const { instruction, queries, field } = job;
  const cut = cutOfPairs(job, maxTokens);
  const inputs = job.documents.map((document, index) => {
    const query = queries[queries.length === 1 ? 0 : index] as string;
    return {
      input: { kind: 'pair' as const, query, document, instruction, ...(cut && { cut }) },
      tokens: estimateTokens(query) + estimateTokens(document) + estimateTokens(instruction ?? ''),
    };
  });
  checkTotal(inputs, field);
  return { inputs, truncated: [] };
}

/**
 * vLLM's cut of the prompt would take its end, where the model answers. So each document is cut to what is surely left beside
 * the rest, of which no token is less than a byte.
 */
function cutOfPairs(job: ScoreJob, maxTokens: number): ServerCut | null {
  const { truncation, maxTokensPerQuery, maxTokensPerDocument } = job;
  let mostOfDocument = maxTokensPerDocument;
  if (truncation !== null) {
    refuseKeepingEnd(truncation, job.field);
    const limit = Math.min(maxTokens, truncation.maxTokens ?? maxTokens);
    const longest = Math.max(...job.queries.map(query => Buffer.byteLength(query)));
    const around =
      templateTokens +
      Math.min(longest, maxTokensPerQuery ?? longest) +
      Buffer.byteLength(job.instruction ?? defaultInstruction);
    if (limit <= around) throw noRoom(job.field, limit);
    mostOfDocument = Math.min(mostOfDocument ?? limit, limit - around);
  }
  if (mostOfDocument === null && maxTokensPerQuery === null) return null;
  return {
    ...(maxTokensPerQuery !== null && { max_tokens_per_query: Math.min(maxTokensPerQuery, maxTokens - 1) }),
    ...(mostOfDocument !== null && { max_tokens_per_doc: Math.min(mostOfDocument, maxTokens - 1) }),
  };
}

function refuseKeepingEnd(truncation: Truncation | null, field: string): void {
  if (truncation?.keep === 'end') throw needsTokenizer(field, 'Cutting the start of a text');
}

const endsWith = (ids: readonly number[], ending: readonly number[]) =>
  ids.length >= ending.length && ending.every((id, place) => ids[ids.length - ending.length + place] === id);
