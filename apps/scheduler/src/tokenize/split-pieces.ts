import { unknownLetters, unknownNumbers } from './unicode-version.ts';

/** The pattern of Qwen2's and Qwen3's tokenizer.json, the only one that splitPieces() stands for. */
export const qwenPattern =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const letter = `[\\p{L}--[${unknownLetters}]]`;
const number = `[\\p{N}--[${unknownNumbers}]]`;
// JavaScript's \s has U+FEFF and lacks U+0085.
const space = '\\p{White_Space}';

/** The same pattern in JavaScript. Every character is part of exactly one match. */
const pieces = new RegExp(
  [
    // U+017F is an s when case does not matter.
    `'(?:[sS\\u017f]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])`,
    `[^\\r\\n${letter}${number}]?${letter}+`,
    number,
    ` ?[^${space}${letter}${number}]+[\\r\\n]*`,
    `${space}*[\\r\\n]+`,
    `${space}+(?!\\P{White_Space})`,
    `${space}+`,
  ].join('|'),
  'gv',
);

/** The pieces of a text that byte pairs are merged in, in order; joined they are the text. */
export function splitPieces(text: string): string[] {
  return text.match(pieces) ?? [];
}
