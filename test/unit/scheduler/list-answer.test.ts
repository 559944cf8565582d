import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ListAnswer, parseVectors } from '../../../apps/scheduler/src/wire/list-answer.ts';

interface Answer extends ListAnswer {
  data: { index: number; data?: unknown }[];
}

const parse = (json: string, count: number) => parseVectors<Answer>(Buffer.from(json), 'data', count);
const base64 = (...values: number[]) => Buffer.from(Float32Array.from(values).buffer).toString('base64');
/** The numbers of each item; null where there are no bytes. */
const numbersOf = ({ data }: Answer) =>
  data.map(({ data }) => (data instanceof Uint8Array ? [...new Float32Array(data.buffer)] : null));

test('vectors come in the order of the inputs, whatever the order and the form of the JSON', () => {
  const answer = {
    id: 'a text with "data":"quotes"',
    data: [
      { index: 1, object: 'pooling', data: base64(3, 4) },
      { index: 0, object: 'pooling', data: base64(1, 2) },
    ],
    usage: { prompt_tokens: 5 },
  };
  for (const json of [JSON.stringify(answer), JSON.stringify(answer, null, 2)]) {
    const parsed = parse(json, 2);
    assert.deepEqual(numbersOf(parsed), [
      [1, 2],
      [3, 4],
    ]);
    assert.equal((parsed as unknown as typeof answer).id, answer.id);
    assert.deepEqual((parsed as unknown as typeof answer).usage, { prompt_tokens: 5 });
  }
});

test('no item gets the vector of another: what is no text stays what it is', () => {
  const items = [{ data: 0 }, { data: base64(1) }, { data: null }, {}, { data: '' }, { data: base64(2) }];
  const json = JSON.stringify({ data: items.map((item, index) => ({ index, ...item })) });
  assert.deepEqual(numbersOf(parse(json, 6)), [null, [1], null, null, [], [2]]);
});

for (const [what, json, message] of [
  ['is no JSON', 'Internal Server Error', /no list/],
  ['ends in a vector', `{"data":[{"index":0,"data":"AAAA`, /no list/],
  ['has no list', '{"data":"AAAA"}', /no list/],
  [
    'has vectors elsewhere',
    `{"usage":{"data":"AAAA"},"data":[{"index":0,"data":"${base64(1)}"}]}`,
    /no list/,
  ],
  ['has too few items', '{"data":[]}', /1 inputs with 0 results/],
  ['has an item twice', '{"data":[{"index":1,"data":""}]}', /1 inputs with 1 results/],
] as const) {
  test(`an answer that ${what} is an error of the server`, () => {
    assert.throws(() => parse(json, 1), { name: 'UpstreamFailure', kind: 'nonsense', message });
  });
}
