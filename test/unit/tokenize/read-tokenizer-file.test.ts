import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readTokenizerFile } from '../../../apps/scheduler/src/tokenize/read-tokenizer-file.ts';
import { splitTexts, TokenEncoder } from '../../../apps/scheduler/src/tokenize/token-encoder.ts';
import { firstMergedId, smallTokenizer, writeTokenizer } from './small-tokenizer.ts';

const folder = mkdtempSync(join(tmpdir(), 'er-tokenizer-'));
after(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'tokenizer.json');
const read = (tokenizer: object) => readTokenizerFile(writeTokenizer(file, tokenizer));

test('merges may be written as pairs or, as in older files, as one text', () => {
  const tokenizer = smallTokenizer(['a b', 'Ġ ab']);
  const written = read(tokenizer);
  tokenizer.model.merges = [
    ['a', 'b'],
    ['Ġ', 'ab'],
  ];
  for (const tables of [written, read(tokenizer)]) {
    const [ids] = splitTexts(new TokenEncoder(tables).encode(['ab ab']));
    assert.deepEqual([...(ids ?? [])], [firstMergedId, firstMergedId + 1]);
  }
});

test('the ids around a text are those of the post-processor', () => {
  const tokenizer = smallTokenizer([], ['<|start|>', '<|end|>']);
  assert.deepEqual(read(tokenizer).specialIds, { before: [], after: [] });
  const text = { Sequence: { id: 'A', type_id: 0 } };
  const special = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const special_tokens = { '<|start|>': { ids: [256] }, '<|end|>': { ids: [257] } };
  tokenizer.post_processor = {
    type: 'Sequence',
    processors: [
      { type: 'ByteLevel' },
      { type: 'TemplateProcessing', single: [text, special('<|end|>')], special_tokens },
    ],
  };
  assert.deepEqual(read(tokenizer).specialIds, { before: [], after: [257] });
  tokenizer.post_processor = {
    type: 'TemplateProcessing',
    single: [special('<|start|>'), text, special('<|end|>')],
    special_tokens,
  };
  assert.deepEqual(read(tokenizer).specialIds, { before: [256], after: [257] });
});

test('added tokens are found by their text', () => {
  assert.deepEqual(
    [...read(smallTokenizer(['a b'], ['<|im_end|>', '<think>'])).specialTokens],
    [
      ['<|im_end|>', 257],
      ['<think>', 258],
    ],
  );
});

test('what cannot be read exactly is refused with the file and the reason', () => {
  const changed = (change: (tokenizer: ReturnType<typeof smallTokenizer>) => void) => {
    const tokenizer = smallTokenizer(['a b']);
    change(tokenizer);
    return tokenizer;
  };
  const cases: [object, RegExp][] = [
    [changed(({ model }) => Object.assign(model, { type: 'Unigram' })), /model\.type is "Unigram"/],
    [changed(({ model }) => Object.assign(model, { dropout: 0.1 })), /model\.dropout is 0\.1/],
    [changed(({ model }) => Object.assign(model, { byte_fallback: true })), /model\.byte_fallback is true/],
    [changed(({ model }) => model.merges.push('a c')), /lacks "ac"/],
    [changed(({ model }) => Reflect.deleteProperty(model.vocab, 'Ā')), /lacks "Ā"/],
    [changed(tokenizer => Object.assign(tokenizer, { normalizer: null })), /normalizer is null/],
    [changed(tokenizer => Object.assign(tokenizer, { normalizer: { type: 'NFKC' } })), /NFKC/],
    [
      changed(tokenizer => Object.assign(tokenizer, { pre_tokenizer: { type: 'ByteLevel' } })),
      /pre_tokenizer\.type/,
    ],
    [
      changed(({ pre_tokenizer }) =>
        Object.assign(pre_tokenizer.pretokenizers[0] ?? {}, { pattern: { Regex: '\\w+' } }),
      ),
      /pretokenizers\[0\]/,
    ],
    [
      changed(({ pre_tokenizer }) =>
        Object.assign(pre_tokenizer.pretokenizers[1] ?? {}, { use_regex: true }),
      ),
      /pretokenizers\[1\]/,
    ],
    [
      changed(tokenizer => Object.assign(tokenizer, { post_processor: { type: 'BertProcessing' } })),
      /BertProcessing/,
    ],
    [changed(tokenizer => Object.assign(tokenizer, { decoder: { type: 'WordPiece' } })), /decoder\.type/],
    [{}, /model\.type is undefined/],
  ];
  for (const [tokenizer, reason] of cases) {
    assert.throws(() => read(tokenizer), reason);
    assert.throws(() => read(tokenizer), { message: new RegExp(`^cannot use the tokenizer ${file}: `) });
  }
});

test('a file that is missing or no JSON is named', () => {
  assert.throws(
    () => readTokenizerFile(join(folder, 'none.json')),
    /cannot read the tokenizer .*none\.json: ENOENT/,
  );
  writeFileSync(file, '{"model":');
  assert.throws(() => readTokenizerFile(file), /cannot read the tokenizer .*tokenizer\.json: /);
});
