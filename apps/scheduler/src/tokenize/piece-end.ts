import { characterClass, classAt, lengthAt } from './character-class.ts';

/** The pattern of Qwen2's and Qwen3's tokenizer.json, the only one that pieceEnd() stands for. */
export const qwenPattern =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const { other, letter, number, space, lineBreak } = characterClass;

/** U+017F is an s when case does not matter. */
const contraction = /'(?:[sS\u017f]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])/y;

/**
 * Where the piece ends that begins at `start` of a normalised text; byte pairs are merged within pieces only. It is the
 * pattern by hand, alternative by alternative: JavaScript's own takes three times as long, most of the whole work, and
 * overflows on millions of letters.
 */
export function pieceEnd(text: string, start: number): number {
  const first = classAt(text, start);
  if (first === letter) return runEnd(text, start, letter);
  if (first === number) return start + lengthAt(text, start);
  if (text.charCodeAt(start) === apostrophe) {
    contraction.lastIndex = start;
    if (contraction.test(text)) return contraction.lastIndex;
  }
  const second = start + lengthAt(text, start);
  const next = second < text.length ? classAt(text, second) : null;
  if (first !== lineBreak && next === letter) return runEnd(text, second, letter);
  if (first === other) return runEnd(text, runEnd(text, start, other), lineBreak);
  if (next === other && text.charCodeAt(start) === blank)
    return runEnd(text, runEnd(text, second, other), lineBreak);
  return whiteSpaceEnd(text, start);
}

const apostrophe = 0x27;
const blank = 0x20;

/** End of the characters of one class that follow `start`. */
function runEnd(text: string, start: number, wanted: number): number {
  let end = start;
  while (end < text.length && classAt(text, end) === wanted) end += lengthAt(text, end);
  return end;
}

/** White space is a piece up to its last line break; else all of it but the last, which belongs to what follows. */
function whiteSpaceEnd(text: string, start: number): number {
  let end = start;
  let afterLineBreak = start;
  for (; end < text.length; end += 1) {
    const found = classAt(text, end);
    if (found === lineBreak) afterLineBreak = end + 1;
    else if (found !== space) break;
  }
  if (afterLineBreak > start) return afterLineBreak;
  return end === text.length || end === start + 1 ? end : end - 1;
}
