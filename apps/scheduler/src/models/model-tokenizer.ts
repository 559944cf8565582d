import type { RerankFrame } from '../tokenize/reranker-prompt.ts';

/** A model's tokenizer as the preparation of inputs needs it. */
export interface ModelTokenizer {
  /** Ids below this one are tokens. */
  vocabularySize: number;
  /** No token stands for more bytes. */
  longestTokenBytes: number;
  /** Token ids of each text, without special tokens. Special-token text is plain text. */
  encode: (texts: readonly string[], signal: AbortSignal) => Promise<Int32Array[]>;
  /** The text of these ids. */
  decode: (ids: ArrayLike<number>) => Promise<string>;
  /** The ids with the special tokens that the model's own tokenizer appends, unless they are there. */
  complete: (ids: ArrayLike<number>) => Int32Array;
  /** Token ids of what stands around the documents of Qwen's rerank prompt. */
  rerankFrame: (
    texts: { instruction: string | null; queries: readonly string[] },
    signal: AbortSignal,
  ) => Promise<RerankFrame>;
  /** Token ids of documents in that prompt. */
  rerankDocuments: (documents: readonly string[], signal: AbortSignal) => Promise<Int32Array[]>;
  close: () => Promise<void>;
}
