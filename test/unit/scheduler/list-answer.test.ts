import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseVectors } from '../../../apps/scheduler/src/wire/list-answer.ts';

const parse = (json: string, count: number) => parseVectors(Buffer.from(json), 'data', count);
const base64 = (...values: number[]) => Buffer.from(Float32Array.from(values).buffer).toString('base64');
const numbersOf = (json: string, count: number) =>
  parse(json, count).vectors.map(({ buffer }) => [...new Float32Array(buffer)]);

const answer = {
  id: 'a',
  data: [
    { index: 1, object: 'pooling', data: base64(3, 4) },
    { index: 0, object: 'pooling', data: base64(1, 2) },
  ],
  usage: { prompt_tokens: 5, data: 'elsewhere' },
};

for (const [form, json] of [
  ['without spaces', JSON.stringify(answer)],
  ['with spaces', JSON.stringify(answer, null, 2)],
  ['with escapes elsewhere', JSON.stringify({ ...answer, id: '","data":"' })],
] as const) {
  test(`vectors come in the order of the inputs from JSON ${form}`, () => {
    assert.deepEqual(numbersOf(json, 2), [
      [1, 2],
      [3, 4],
    ]);
    assert.equal((parse(json, 2).answer as unknown as typeof answer).usage.prompt_tokens, 5);
  });
}

test('base64 that is escaped, as some serializers do it, is the same bytes', () => {
  const bytes = Buffer.from('ffff7f3f', 'hex');
  const json = JSON.stringify({ data: [{ index: 0, data: bytes.toString('base64') }] }).replaceAll(
    '/',
    '\\/',
  );
  assert.match(json, /\\\//);
  assert.deepEqual(Buffer.from(parse(json, 1).vectors[0] ?? []), bytes);
});

test('no item gets the vector of another, and one without a text gets none', () => {
  const items = [{ data: 0 }, { data: base64(1) }, { data: null }, {}, { data: '' }, { data: base64(2) }];
  const list = { data: items.map((item, index) => ({ index, ...item })) };
  for (const json of [JSON.stringify(list), JSON.stringify(list, null, 1)])
    assert.deepEqual(numbersOf(json, 6), [[], [1], [], [], [], [2]]);
});

test('no text of a server stands for one that was taken out', () => {
  for (const text of ['#0', '0', '\\u00000']) {
    const json = `{"data":[{"index":0,"data":"${base64(1)}"},{"index":1,"data": "${text}"}]}`;
    const [first, second] = parse(json, 2).vectors;
    assert.deepEqual([first?.byteLength, second?.byteLength === 4], [4, false], text);
  }
});

for (const [what, json, message] of [
  ['is no JSON', 'Internal Server Error', /no list/],
  ['ends in a vector', '{"data":[{"index":0,"data":"AAAA', /no list/],
  ['has no list', '{"data":"AAAA"}', /no list/],
  ['has too few items', '{"data":[]}', /1 inputs with 0 results/],
  ['has an item that is none', '{"data":[null]}', /1 inputs with 1 results/],
  ['has an item of another index', '{"data":[{"index":1,"data":""}]}', /1 inputs with 1 results/],
] as const) {
  test(`an answer that ${what} is an error of the server`, () => {
    assert.throws(() => parse(json, 1), { name: 'UpstreamFailure', kind: 'nonsense', message });
  });
}
