import type { PreparedInput } from '../model-lane.ts';
import type { ItemInput } from '../queue/item.ts';
import { checkBytes, checkIds, estimateTokens, fieldOf, type ModelInput, tooLong } from './model-input.ts';
import type { ModelTokenizer } from './model-tokenizer.ts';

/**
 * Embedding inputs as the server gets them. With a tokenizer, texts become token ids that end with the model's own last
 * token (vLLM adds none to ids), and ids of the caller are checked and completed alike; without one they go as they are.
 * Throws RequestError naming the input that is too long or holds what is no token.
 */
export async function prepareEmbedding(
  inputs: readonly ModelInput[],
  {
    tokenizer,
    maxTokens,
    signal,
  }: { tokenizer: ModelTokenizer | null; maxTokens: number; signal: AbortSignal },
): Promise<PreparedInput[]> {
  if (tokenizer === null) return inputs.map(untokenized);
  const texts = inputs.filter((input, index) => {
    if (typeof input !== 'string') return false;
    checkBytes(input, maxTokens, tokenizer.longestTokenBytes, fieldOf('input', index, inputs.length));
    return true;
  }) as string[];
  const encoded = texts.length === 0 ? [] : await tokenizer.encode(texts, signal);
  let next = 0;
  return inputs.map((input, index) => {
    const field = fieldOf('input', index, inputs.length);
    if (typeof input !== 'string') checkIds(input, tokenizer.vocabularySize, field);
    const ids = tokenizer.complete(typeof input === 'string' ? (encoded[next++] as Int32Array) : input);
    if (ids.length > maxTokens) throw tooLong(field, ids.length, maxTokens);
    return { input: { kind: 'ids', ids }, tokens: ids.length };
  });
}

function untokenized(input: ModelInput): PreparedInput {
  if (typeof input !== 'string') return { input: { kind: 'ids', ids: input }, tokens: input.length };
  const text: ItemInput = { kind: 'text', text: input };
  return { input: text, tokens: estimateTokens(input) };
}
