import type { ScoreJob } from '@er-gateway/shared/scheduler-protocol';
import type { PreparedInput } from '../model-lane.ts';
import { checkBytes, estimateTokens, fieldOf, tooLong } from './model-input.ts';
import type { ModelTokenizer } from './model-tokenizer.ts';

/**
 * Pairs as the server gets them: with a tokenizer as token ids of Qwen's template, filled in and tokenized here, so that
 * no server can leave it out; else as texts. Throws RequestError naming the document that makes a pair too long.
 */
export async function preparePairs(
  job: ScoreJob,
  {
    tokenizer,
    maxTokens,
    signal,
  }: { tokenizer: ModelTokenizer | null; maxTokens: number; signal: AbortSignal },
): Promise<PreparedInput[]> {
  const pairs = job.documents.map((document, index) => ({
    query: (job.queries.length === 1 ? job.queries[0] : job.queries[index]) as string,
    document,
  }));
  if (tokenizer === null) {
    return pairs.map(({ query, document }) => ({
      input: { kind: 'pair', query, document, instruction: job.instruction },
      tokens: estimateTokens(query) + estimateTokens(document),
    }));
  }
  pairs.forEach(({ query, document }, index) => {
    checkBytes(query, maxTokens, tokenizer.longestTokenBytes, 'query');
    checkBytes(document, maxTokens, tokenizer.longestTokenBytes, fieldOf('documents', index, pairs.length));
  });
  const prompts = await tokenizer.rerankPrompts(job.instruction, pairs, signal);
  return prompts.map((ids, index) => {
    if (ids.length > maxTokens)
      throw tooLong(fieldOf('documents', index, prompts.length), ids.length, maxTokens);
    return { input: { kind: 'ids', ids }, tokens: ids.length };
  });
}
