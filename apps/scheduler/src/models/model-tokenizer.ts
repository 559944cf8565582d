/** A model's tokenizer as the preparation of inputs needs it. */
export interface ModelTokenizer {
  /** Ids below this one are tokens. */
  vocabularySize: number;
  /** No token stands for more bytes. */
  longestTokenBytes: number;
  /** Token ids of each text, without special tokens. Special-token text is plain text. */
  encode: (texts: readonly string[], signal: AbortSignal) => Promise<Int32Array[]>;
  /** The text of these ids. */
  decode: (ids: readonly number[]) => Promise<string>;
  /** The ids with the special tokens that the model's own tokenizer appends, unless they are there. */
  complete: (ids: ArrayLike<number>) => Int32Array;
  /** Token ids of Qwen's rerank template filled with each pair. */
  rerankPrompts: (
    instruction: string | null,
    pairs: readonly { query: string; document: string }[],
    signal: AbortSignal,
  ) => Promise<Int32Array[]>;
  close: () => Promise<void>;
}
