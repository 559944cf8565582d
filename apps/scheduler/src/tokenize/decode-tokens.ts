import type { TokenizerTables } from './tokenizer-tables.ts';

/** The text of token ids, as vLLM's /detokenize: control tokens by name, unknown ids left out, broken UTF-8 as U+FFFD. */
export function decodeTokens(tables: TokenizerTables, tokens: readonly number[]): string {
  const parts = tokens.map(id => {
    const end = tables.tokenEnds[id];
    return end === undefined ? empty : tables.tokenBytes.subarray(tables.tokenEnds[id - 1] ?? 0, end);
  });
  return Buffer.concat(parts).toString();
}

const empty = new Uint8Array(0);
