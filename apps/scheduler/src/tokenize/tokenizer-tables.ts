/**
 * Everything of a tokenizer.json that encoding and decoding need. The large parts lie in shared memory: threads get
 * the tables without a copy.
 */
export interface TokenizerTables {
  /** See merge-table.ts. */
  merges: Int32Array;
  /** The token id of each single byte. */
  idOfByte: Int32Array;
  /** Bytes of all tokens, one after the other; those of token `i` end at `tokenEnds[i]` and begin where `i - 1` ended. */
  tokenBytes: Uint8Array;
  tokenEnds: Int32Array;
  /** Control tokens and other added ones (`<|im_end|>`, `<think>`): text to id. Never found in a user's text. */
  specialTokens: ReadonlyMap<string, number>;
  /** What the post-processor puts before and after a single text. */
  specialIds: { before: readonly number[]; after: readonly number[] };
}

/** An empty Int32Array in memory that threads share. */
export const sharedInt32Array = (length: number) => new Int32Array(new SharedArrayBuffer(length * 4));
