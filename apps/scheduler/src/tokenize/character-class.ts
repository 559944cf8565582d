import { unknownLetters, unknownNumbers } from './unicode-version.ts';

/** What a character is to the pattern; a character is in one class only. */
export const characterClass = {
  other: 0,
  letter: 1,
  number: 2,
  /** White space but line breaks. */
  space: 3,
  /** Carriage return and line feed. */
  lineBreak: 4,
} as const;

const { other, letter, number, space, lineBreak } = characterClass;

/** The characters of each class but `other`. JavaScript's \s would have U+FEFF and lack U+0085. */
const members: readonly (readonly [characterClass: number, set: string])[] = [
  [letter, `[\\p{L}--[${unknownLetters}]]`],
  [number, `[\\p{N}--[${unknownNumbers}]]`],
  [space, '[\\p{White_Space}--[\\r\\n]]'],
  [lineBreak, '[\\r\\n]'],
];

const classOfUnit = classifyUnits();
const beyondUnits = members.map(([found, set]) => ({ found, pattern: new RegExp(set, 'v') }));

/** Class of the character that begins at a position of a well-formed text. */
export function classAt(text: string, at: number): number {
  const unit = text.charCodeAt(at);
  if (!isHighSurrogate(unit)) return classOfUnit[unit] ?? other;
  const character = text.slice(at, at + 2);
  return beyondUnits.find(({ pattern }) => pattern.test(character))?.found ?? other;
}

/** UTF-16 units of the character that begins at a position. */
export const lengthAt = (text: string, at: number) => (isHighSurrogate(text.charCodeAt(at)) ? 2 : 1);

function isHighSurrogate(unit: number): boolean {
  return (unit & 0xfc00) === 0xd800;
}

/** The class of every UTF-16 unit that is a character by itself. */
function classifyUnits(): Uint8Array {
  const units = Buffer.from(Uint16Array.from({ length: 0x10000 }, (_, unit) => unit).buffer).toString(
    'utf16le',
  );
  const classes = new Uint8Array(units.length);
  for (const [found, set] of members)
    for (const { index, 0: run } of units.matchAll(new RegExp(`${set}+`, 'gv')))
      classes.fill(found, index, index + run.length);
  return classes;
}
