import type { ScoreJob, Truncation } from '@er-gateway/shared/scheduler-protocol';
import {
  cannotCount,
  checkBytes,
  estimateTokens,
  fieldOf,
  noRoom,
  type PreparedInputs,
  tooLong,
  worthReading,
} from './model-input.ts';
import type { ModelTokenizer } from './model-tokenizer.ts';

interface Pair {
  query: string;
  document: string;
}

/**
 * Pairs as the server gets them: with a tokenizer as token ids of Qwen's template, filled in and tokenized here, so that
 * no server can leave it out; else as texts. Texts are cut before the template is filled, never the prompt: its end is
 * where the model answers. Throws RequestError naming the document that makes a pair too long.
 */
export async function preparePairs(
  job: ScoreJob,
  {
    tokenizer,
    maxTokens,
    signal,
  }: { tokenizer: ModelTokenizer | null; maxTokens: number; signal: AbortSignal },
): Promise<PreparedInputs> {
  const { instruction, truncation } = job;
  const given = job.documents.map((document, index) => ({
    query: (job.queries.length === 1 ? job.queries[0] : job.queries[index]) as string,
    document,
  }));
  if (tokenizer === null) return leaveToServer(job, given);
  const limit = Math.min(maxTokens, truncation?.maxTokens ?? maxTokens);
  const nameOf = (index: number) => fieldOf(job.field, index, given.length);

  const { pairs, truncated } = await cutEach(job, given, { tokenizer, limit, nameOf, signal });
  const prompts = await tokenizer.rerankPrompts(instruction, pairs, signal);
  for (const [index, ids] of prompts.entries()) {
    if (ids.length <= limit) continue;
    if (truncation === null) throw tooLong(nameOf(index), ids.length, limit);
    const { query, document } = pairs[index] as Pair;
    const promptOf = async (document: string) => {
      const made = await tokenizer.rerankPrompts(instruction, [{ query, document }], signal);
      return made[0] as Int32Array;
    };
    const fitting = await cutUntilItFits(document, {
      tokenizer,
      keep: truncation.keep,
      promptOf,
      limit,
      signal,
    });
    if (fitting === null) throw noRoom(nameOf(index), limit);
    prompts[index] = fitting;
    truncated.add(index);
  }
  return {
    inputs: prompts.map(ids => ({ input: { kind: 'ids', ids }, tokens: ids.length })),
    truncated: [...truncated].sort((a, b) => a - b),
  };
}

/**
 * The prompt with as much of the document as fits; null when nothing does. A text that was cut may have other tokens than
 * the ones that were kept, so it is counted again.
 */
async function cutUntilItFits(
  document: string,
  options: {
    tokenizer: ModelTokenizer;
    keep: Truncation['keep'];
    promptOf: (document: string) => Promise<Int32Array>;
    limit: number;
    signal: AbortSignal;
  },
): Promise<Int32Array | null> {
  const { tokenizer, keep, promptOf, limit, signal } = options;
  const [ids = new Int32Array()] = await tokenizer.encode([document], signal);
  const frame = await promptOf('');
  for (let kept = Math.min(ids.length, limit - frame.length); kept > 0; ) {
    const prompt = await promptOf(await textOfSome(ids, kept, { tokenizer, keep }));
    if (prompt.length <= limit) return prompt;
    kept -= prompt.length - limit;
  }
  return null;
}

/** The text of so many tokens of one end. A character of which only some bytes are in them is left out. */
async function textOfSome(
  ids: Int32Array,
  count: number,
  { tokenizer, keep }: { tokenizer: ModelTokenizer; keep: Truncation['keep'] },
): Promise<string> {
  const text = await tokenizer.decode([
    ...(keep === 'start' ? ids.subarray(0, count) : ids.subarray(-count)),
  ]);
  return keep === 'start' ? text.replace(/\ufffd+$/, '') : text.replace(/^\ufffd+/, '');
}

/** Queries and documents cut to what the caller wants of each. Refuses texts that are too long to be worth reading. */
async function cutEach(
  { maxTokensPerQuery, maxTokensPerDocument, truncation }: ScoreJob,
  given: readonly Pair[],
  {
    tokenizer,
    limit,
    nameOf,
    signal,
  }: { tokenizer: ModelTokenizer; limit: number; nameOf: (index: number) => string; signal: AbortSignal },
): Promise<{ pairs: Pair[]; truncated: Set<number> }> {
  const { longestTokenBytes } = tokenizer;
  const truncated = new Set<number>();
  if (maxTokensPerQuery === null && maxTokensPerDocument === null && truncation === null) {
    given.forEach(({ query, document }, index) => {
      checkBytes(query, limit, longestTokenBytes, 'query');
      checkBytes(document, limit, longestTokenBytes, nameOf(index));
    });
    return { pairs: [...given], truncated };
  }
  const queries = new Map<string, string>();
  const cutTo = async (text: string, most: number | null, name: string, mayCut: boolean) => {
    if (most === null && !mayCut) {
      checkBytes(text, limit, longestTokenBytes, name);
      return text;
    }
    const maxTokens = Math.min(most ?? limit, limit);
    const keep = truncation?.keep ?? 'start';
    const read = worthReading(text, { maxTokens, longestTokenBytes, keep });
    if (most === null) return read;
    const [ids = new Int32Array()] = await tokenizer.encode([read], signal);
    return ids.length <= most ? read : textOfSome(ids, most, { tokenizer, keep });
  };
  const pairs: Pair[] = [];
  for (const [index, { query, document }] of given.entries()) {
    let shownQuery = queries.get(query);
    if (shownQuery === undefined) {
      shownQuery = await cutTo(query, maxTokensPerQuery, 'query', false);
      queries.set(query, shownQuery);
    }
    const shown = await cutTo(document, maxTokensPerDocument, nameOf(index), truncation !== null);
    if (shown !== document || shownQuery !== query) truncated.add(index);
    pairs.push({ query: shownQuery, document: shown });
  }
  return { pairs, truncated };
}

/** The texts as they are; their server fills the template. What only a tokenizer could do is refused. */
function leaveToServer(job: ScoreJob, pairs: readonly Pair[]): PreparedInputs {
  const limits = [job.truncation?.maxTokens, job.maxTokensPerQuery, job.maxTokensPerDocument];
  if (limits.some(limit => (limit ?? null) !== null)) throw cannotCount(job.field);
  const inputs = pairs.map(({ query, document }) => ({
    input: { kind: 'pair' as const, query, document, instruction: job.instruction },
    tokens: estimateTokens(query) + estimateTokens(document),
  }));
  return { inputs, truncated: [] };
}
