import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const root = resolve(import.meta.dirname, '../..');
/** Longer than any header that is let in; a body's texts never meet a regular expression of ours but the tokenizer's. */
const length = 20_000;
/** A linear one takes well below a millisecond, a quadratic one hundreds. */
const mostMs = 60;

/** The regular expressions of a source: after what may stand before one, never after a value, where `/` divides. */
const literal =
  /(?<=[(=,:!&|?{}[;]\s*|return\s+|=>\s*)\/(?![*/])((?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+)\/([dgimsuvy]*)/g;

// The supervisor's read lines of its own model server's log, not what callers send.
const found = globSync(['apps/*/src/**/*.ts', 'shared/src/**/*.ts'], {
  cwd: root,
}).flatMap(file =>
  [...readFileSync(join(root, file), 'utf8').matchAll(literal)].map(([, source = '', flags = '']) => ({
    file,
    source,
    flags: flags.replace('g', ''),
  })),
);

/** Texts made to lead an expression astray: one of its own characters over and over, after its beginning, and no end. */
function* attacks(source: string): Generator<string> {
  const own = [...new Set(source.replace(/\\[a-zA-Z]/g, ''))].filter(character => character >= ' ');
  const pumps = new Set([...own, 'a', 'A', '0', ' ', '\t', '.', '-', 'ab', ' a', 'a,', '\u00e9']);
  const begin = /^\^?([\w "{:-]+)/.exec(source)?.[1] ?? '';
  for (const prefix of new Set(['', begin, `${begin}a`])) {
    for (const pump of pumps) yield `${prefix}${pump.repeat(length / pump.length)}\0`;
  }
}

function cpuMs(work: () => void): number {
  const begin = process.cpuUsage();
  work();
  return process.cpuUsage(begin).user / 1000;
}

test('the expressions are found, and a quadratic one would be', () => {
  assert.ok(found.length > 30, `${found.length} expressions`);
  const worst = Math.max(...[...attacks('\\/+$')].map(text => cpuMs(() => /\/+$/.test(text))));
  assert.ok(worst > mostMs, `${worst} ms`);
});

for (const { file, source, flags } of found) {
  test(`${file}: /${source}/${flags} takes no more time than its text is long`, () => {
    const expression = new RegExp(source, flags);
    for (const text of attacks(source)) {
      const run = () => cpuMs(() => expression.test(text));
      if (run() < mostMs) continue;
      assert.ok(run() < mostMs, `${JSON.stringify(text.slice(0, 40))}…`);
    }
  });
}
