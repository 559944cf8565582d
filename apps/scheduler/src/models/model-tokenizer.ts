import type { RerankFrame } from '../tokenize/reranker-prompt.ts';

/** Whose work it is, since keys take turns, and what ends it. */
export interface TokenizerWork {
  signal: AbortSignal;
  keyId: string;
}

/** A model's tokenizer as the preparation of inputs needs it. */
export interface ModelTokenizer {
  /** Ids below this one are tokens. */
  vocabularySize: number;
  /** The last token of every text that its file does not name and that is appended all the same; null when there is none. */
  forgottenEnding: string | null;
  /** No token stands for more bytes. */
  longestTokenBytes: number;
  /** Token ids of each text, without special tokens. Special-token text is plain text. */
  encode: (texts: readonly string[], work: TokenizerWork) => Promise<Int32Array[]>;
  /** Token ids of a prompt as the server's own /tokenize gives them: names of control tokens in it mean them. */
  tokenize: (prompt: string, addSpecialTokens: boolean, work: TokenizerWork) => Promise<Int32Array>;
  /** What vLLM calls each of these tokens. */
  namesOf: (ids: ArrayLike<number>) => string[];
  /** The text of these ids. */
  decode: (ids: ArrayLike<number>) => Promise<string>;
  /** The ids with the special tokens that the model's own tokenizer appends, unless they are there. */
  complete: (ids: ArrayLike<number>) => Int32Array;
  /** Token ids of what stands around the documents of Qwen's rerank prompt. */
  rerankFrame: (
    texts: { instruction: string | null; queries: readonly string[] },
    work: TokenizerWork,
  ) => Promise<RerankFrame>;
  /** Token ids of documents in that prompt. */
  rerankDocuments: (documents: readonly string[], work: TokenizerWork) => Promise<Int32Array[]>;
  close: () => Promise<void>;
}
