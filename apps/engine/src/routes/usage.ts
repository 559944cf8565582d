/** Token counts as vLLM's pooling answers give them. */
export function usageOf(promptTokens: number) {
  return {
    prompt_tokens: promptTokens,
    total_tokens: promptTokens,
    completion_tokens: 0,
    prompt_tokens_details: null,
    completion_tokens_details: null,
  };
}

/** Tokens of all lists. */
export function countTokens(tokenLists: readonly (readonly number[])[]): number {
  return tokenLists.reduce((sum, tokens) => sum + tokens.length, 0);
}

/** Now, as answers give it: Unix time in seconds. */
export const createdNow = () => Math.floor(Date.now() / 1000);

/** The sum of counts. */
export const sumOf = (counts: readonly number[]) => counts.reduce((sum, count) => sum + count, 0);
