import assert from 'node:assert/strict';
import { test } from 'node:test';
import { normalizeText } from '../../../apps/scheduler/src/tokenize/normalize-text.ts';

test('composes and orders marks as NFC does', () => {
  assert.equal(normalizeText('e\u0301 a\u0315\u0327 \u1112\u1161\u11ab'), '\u00e9 a\u0327\u0315 한');
});

test('neither moves nor composes characters that are newer than the NFC of the model', () => {
  assert.equal(
    normalizeText('e\u0301a\u0315\u0898\u0327 \u{105d2}\u0307'),
    '\u00e9a\u0315\u0898\u0327 \u{105d2}\u0307',
  );
});

test('lone surrogates become U+FFFD', () => {
  assert.equal(normalizeText('\ud800a\udc00'), '\ufffda\ufffd');
});
