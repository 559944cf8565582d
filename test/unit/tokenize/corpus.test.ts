import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { cutText } from '../../../apps/scheduler/src/tokenize/cut-text.ts';
import { decodeTokens, nameTokens } from '../../../apps/scheduler/src/tokenize/decode-tokens.ts';
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

  test('finds control tokens in a text when asked to, as vLLM does', () => {
    for (const { instruction, query, document, ...expected } of corpus.rerankPrompts) {
      const prompt =
        '<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. ' +
        'Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n' +
        `<Instruct>: ${instruction}\n<Query>: ${query}\n<Document>: ${document}<|im_end|>\n` +
        '<|im_start|>assistant\n<think>\n\n</think>\n\n';
      const [ids] = splitTexts(encoder.encode([prompt], true));
      assert.deepEqual(summarizeIds([...(ids ?? [])]), expected);
    }
    const [ids = []] = splitTexts(encoder.encode(['<|im_end<|im_end|>|>'], true));
    assert.deepEqual([...ids], [...encode('<|im_end'), 151_645, ...encode('|>')]);
  });

  test('a text that is cut where it can be has the same ids', () => {
    let cuts = 0;
    for (const entry of corpus.texts) {
      const text = expandText(entry);
      if (text.length > 20_000) continue;
      for (const size of [1, 3, 10]) {
        const parts = cutText(text, size);
        cuts += parts.length - 1;
        assert.equal(parts.join(''), text);
        assert.deepEqual(parts.flatMap(encode), encode(text), entry.name);
      }
    }
    assert.ok(cuts > 1000, `${cuts} cuts`);
    assert.equal(cutText('word '.repeat(1000), 100).length, 50);
    assert.equal(cutText('通义千问是，'.repeat(1000), 100).length, 59);
    assert.deepEqual(cutText(' '.repeat(500), 100), [' '.repeat(500)]);
    assert.deepEqual(cutText('', 100), ['']);
  });

  test('names tokens as vLLM does', () => {
    const ids = [9707, 11, 1879, 0, 151_645, 220, 198, 68_990, 151_935];
    assert.deepEqual(nameTokens(tables, ids), [
      'Hello',
      ',',
      'Ġworld',
      '!',
      '<|im_end|>',
      'Ġ',
      'Ċ',
      'åĮĹäº¬',
      '',
    ]);
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
