import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pieceEnd, qwenPattern } from '../../../apps/scheduler/src/tokenize/piece-end.ts';

/** The pattern itself, for JavaScript: without the flag in its middle, and with Unicode's white space for `\s`. */
const pattern = new RegExp(
  qwenPattern
    .replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)", "'(?:[sSſ]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])")
    .replaceAll('\\s', '\\p{White_Space}')
    .replaceAll('\\S', '\\P{White_Space}'),
  'gu',
);

test('ends pieces where the pattern of the tokenizer does', () => {
  const parts = [
    ...["'", "'s", "'ll", "'L", 'ſ', 's', 'd', 'word', 'Ünïcödé', '中文', '한', '𠀀', 'é', 'e\u0301'],
    ...['1', '23', '½', '٣', '𝟘', '.', '!?', '-', '…', '👍', '🏽', '\u200d', '\ufeff', '\u0000', '\ufffd'],
    ...[' ', '  ', '\t', '\u00a0', '\u3000', '\u0085', '\u2028', '\v', '\n', '\r', '\r\n', '\n\n', ' \n'],
  ];
  const random = pseudoRandom(11);
  for (let round = 0; round < 20_000; round += 1) {
    const text = Array.from({ length: 1 + random(12) }, () => parts[random(parts.length)]).join('');
    assert.deepEqual(pieces(text), text.match(pattern), JSON.stringify(text));
  }
});

test('every character is in a piece, also those newer than the tokenizer', () => {
  const newer = 'a\u088f\u{10940}1\u{11de0} \u{323b0}b';
  assert.deepEqual(pieces(newer), ['a', '\u088f\u{10940}', '1', '\u{11de0}', ' \u{323b0}', 'b']);
});

function pieces(text: string): string[] {
  const found: string[] = [];
  for (let start = 0, end = 0; start < text.length; start = end) {
    end = pieceEnd(text, start);
    found.push(text.slice(start, end));
  }
  return found;
}

function pseudoRandom(seed: number): (limit: number) => number {
  let state = seed;
  return limit => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >> 8) % limit;
  };
}
