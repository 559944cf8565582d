import type { EncodedTexts } from './token-encoder.ts';
import type { TokenizerTables } from './tokenizer-tables.ts';

/** What a thread is started for: to read a tokenizer and end, or to encode texts until it is terminated. */
export type ThreadTask =
  | { kind: 'read'; tokenizerFile: string }
  /** `stop[0]` becomes 1 when nobody waits for its answer any more: shared memory, as it reads no message meanwhile. */
  | { kind: 'encode'; tables: TokenizerTables; stop: Int32Array };

/** What an encoding thread is asked: the ids of these texts. One question at a time. */
export interface ThreadQuestion {
  texts: string[];
  /** Whether names of control tokens in the texts mean them. */
  findsControlTokens: boolean;
}

/** What a thread says: `tables` to the task `read`, `encoded` to each question, or why it could not. */
export type ThreadAnswer =
  | { kind: 'tables'; tables: TokenizerTables }
  | { kind: 'encoded'; encoded: EncodedTexts }
  | { kind: 'failed'; error: Error };
