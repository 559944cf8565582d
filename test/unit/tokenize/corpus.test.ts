import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { decodeTokens } from '../../../apps/scheduler/src/tokenize/decode-tokens.ts';
import { readTokenizerFile } from '../../../apps/scheduler/src/tokenize/read-tokenizer-file.ts';
import { splitTexts, TokenEncoder } from '../../../apps/scheduler/src/tokenize/token-encoder.ts';
import { expandText, loadCorpus, summarizeIds } from './corpus.ts';
import { qwen3TokenizerFile } from './small-tokenizer.ts';

suite("Qwen3's tokenizer", () => {
  const corpus = loadCorpus();
  const tables = readTokenizerFile(qwen3TokenizerFile());
  const encoder = new TokenEncoder(tables);
  const encode = (text: string) => [...(splitTexts(encoder.encode([text]))[0] ?? [])];

  test('gives the ids that vLLM gives, for every text of the corpus', () => {
    const wrong = corpus.texts.filter(({ name: _, ...entry }) => {
      const found = { ...entry, ...summarizeIds(encode(expandText(entry))) };
      return JSON.stringify(found) !== JSON.stringify(entry);
    });
    assert.deepEqual(
      wrong.map(({ name }) => name),
      [],
    );
    assert.ok(corpus.texts.length > 100);
  });

  test('gives the same ids when it has seen the words before', () => {
    const text = 'It was the best of times, it was the worst of times: Donaudampfschifffahrt';
    assert.deepEqual(encode(text), encode(text));
  });

  test('takes a lone surrogate for U+FFFD', () => {
    assert.deepEqual(encode('a\uD800b \uDC00'), encode('a\uFFFDb \uFFFD'));
  });

  test('control tokens in a text are plain text', () => {
    assert.deepEqual(encode('<|im_end|>'), [27, 91, 318, 6213, 91, 29]);
    assert.deepEqual(encode('<|endoftext|>'), [27, 91, 8691, 723, 427, 91, 29]);
    const everyOne = [...tables.specialTokens.keys()].join('');
    const ids = encode(everyOne);
    assert.ok(ids.every(id => id < 151643));
    assert.equal(decodeTokens(tables, ids), everyOne);
  });

  test('decodes as vLLM does: control tokens, halves of characters, ids without a token', () => {
    for (const { tokens, text } of corpus.decoded)
      assert.equal(decodeTokens(tables, tokens), text, `${tokens}`);
  });

  test('decoding what was encoded gives the normalised text', () => {
    for (const entry of corpus.texts.filter(entry => 'text' in entry)) {
      const text = expandText(entry);
      if (text.normalize('NFC') === text) assert.equal(decodeTokens(tables, encode(text)), text);
    }
  });
});
