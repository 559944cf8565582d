import { characterOfByte } from './byte-alphabet.ts';
import type { TokenizerTables } from './tokenizer-tables.ts';

/** The text of token ids, as vLLM's /detokenize: control tokens by name, unknown ids left out, broken UTF-8 as U+FFFD. */
export function decodeTokens({ tokenBytes, tokenEnds }: TokenizerTables, tokens: ArrayLike<number>): string {
  const startOf = (id: number) => tokenEnds[id - 1] ?? 0;
  const endOf = (id: number) => tokenEnds[id] ?? startOf(id);
  let length = 0;
  for (let at = 0; at < tokens.length; at += 1) {
    const id = tokens[at] ?? 0;
    if (id < tokenEnds.length) length += endOf(id) - startOf(id);
  }
  const bytes = Buffer.allocUnsafe(length);
  let end = 0;
  for (let at = 0; at < tokens.length; at += 1) {
    const id = tokens[at] ?? 0;
    if (id >= tokenEnds.length) continue;
    // Most tokens are a few bytes: a copy by calls takes longer.
    for (let from = startOf(id); from < endOf(id); from += 1) bytes[end++] = tokenBytes[from] ?? 0;
  }
  return bytes.toString();
}

/** What vLLM calls each token (`token_strs`): control tokens by name, others in the vocabulary's alphabet; '' for unknown ids. */
export function nameTokens(
  { tokenBytes, tokenEnds, specialTokens }: TokenizerTables,
  tokens: ArrayLike<number>,
): string[] {
  const special = new Map([...specialTokens].map(([name, id]) => [id, name]));
  return Array.from(tokens, id => {
    const bytes = tokenBytes.subarray(tokenEnds[id - 1] ?? 0, tokenEnds[id] ?? 0);
    return special.get(id) ?? Array.from(bytes, byte => characterOfByte[byte]).join('');
  });
}
