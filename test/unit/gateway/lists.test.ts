import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import { dialectOf, dialectRoutes } from '../../../apps/gateway/src/dialects/table.ts';
import { parseBody } from '../../../apps/gateway/src/request/parse-body.ts';
import { feedbackRequest } from '../../../apps/gateway/src/routes/feedback.ts';

/** Far more than a list of two million items needs on a slow machine, and far less than zod took for them. */
const soonMs = 500;
const million = 1_000_000;

function parse(path: string, body: Record<string, unknown>): unknown {
  const route = dialectRoutes.find(candidate => candidate.path === path);
  assert.ok(route, path);
  return parseBody(dialectOf(route, body, {}).schema, body);
}
const refusal = (param: string, message: RegExp) => (error: unknown) =>
  error instanceof RequestError &&
  error.param === param &&
  message.test(error.message) &&
  error.message.length < 300;

for (const [path, body, param] of [
  ['/v1/embeddings', { input: [] }, 'input'],
  ['/v2/embed', { texts: [] }, 'texts'],
  ['/v2/embed', { inputs: [] }, 'inputs'],
  ['/v2/embed', { texts: ['a'], embedding_types: [] }, 'embedding_types'],
  ['/embed', { inputs: [] }, 'inputs'],
  ['/v1/rerank', { query: 'q', documents: [] }, 'documents'],
  ['/v1/rerank', { query: 'q', documents: ['a'], rank_fields: [] }, 'rank_fields'],
  ['/v1/rerank', { query: 'q', documents: [], top_k: 1 }, 'documents'],
  ['/rerank', { query: 'q', texts: [] }, 'texts'],
  ['/score', { queries: 'q', documents: [] }, 'documents'],
  ['/detokenize', { tokens: [] }, 'tokens'],
] as [string, Record<string, unknown>, string][]) {
  test(`${path}: two million wrong items in ${param} are refused at once, and so are too many for zod`, () => {
    for (const [length, item] of [
      [2 * million, 0],
      [2 * million, {}],
      [200_000, true],
      [200_000, [[]]],
    ] as const) {
      const list = new Array(length).fill(item);
      const began = performance.now();
      assert.throws(
        () => parse(path, { ...body, [param]: list }),
        error => error instanceof RequestError && error.message.length < 300,
      );
      assert.ok(performance.now() - began < soonMs, `${length} of ${JSON.stringify(item)}`);
    }
  });
}

test('the first wrong item of a list is named by its place', () => {
  assert.throws(
    () => parse('/v1/embeddings', { input: ['a', 7, 8] }),
    refusal('input[1]', /^input\[1\] must be a string\.$/),
  );
  assert.throws(
    () => parse('/v1/embeddings', { input: [[1], [2, 'a']] }),
    refusal('input[1]', /list of token ids/),
  );
  assert.throws(
    () => parse('/v1/rerank', { query: 'q', documents: ['a', 7] }),
    refusal('documents[1]', /\{"text": string\}/),
  );
  assert.throws(
    () => parse('/score', { queries: 'q', documents: 7 }),
    refusal('documents', /a string or a list/),
  );
});

test('a list of token ids within a list is bounded too', () => {
  const input = [[1], new Array(300_000).fill(1)];
  assert.throws(() => parse('/v1/embeddings', { input }), refusal('input[1]', /more than 262144/));
});

test('feedback reads no further than the first wrong index', () => {
  const relevant = new Array(90_000).fill('a');
  assert.throws(
    () => parseBody(feedbackRequest, { request_id: 'x', relevant }),
    refusal('relevant[0]', /index/),
  );
});

test('checks that come later do not meet what is no list', () => {
  const feedback = (fields: object) => () => parseBody(feedbackRequest, { request_id: 'x', ...fields });
  assert.throws(feedback({ ranking: {}, rating: 1 }), refusal('ranking', /a list of indexes/));
  assert.throws(feedback({ relevant: 7, rating: 1 }), refusal('relevant', /a list of indexes/));
  const body = { query: 'q', documents: ['a'], rank_fields: {} };
  assert.throws(() => parse('/v1/rerank', body), refusal('rank_fields', /a list of field names/));
});

test('rank_fields names each field once, and at most 32 of them', () => {
  const body = { query: 'q', documents: [{ a: 'x' }] };
  for (const rank_fields of [['a', 'b', 'a'], Array.from({ length: 33 }, (_, index) => `f${index}`)])
    assert.throws(() => parse('/v1/rerank', { ...body, rank_fields }), refusal('rank_fields', /rank_fields/));
});

test('documents may be nested, within reason', () => {
  const nested = (levels: number) => JSON.parse(`${'['.repeat(levels)}${']'.repeat(levels)}`) as unknown;
  const body = (levels: number) => ({ query: 'q', documents: ['a', { text: 'b', x: nested(levels) }] });
  assert.ok(parse('/v1/rerank', body(60)));
  assert.throws(() => parse('/v1/rerank', body(20_000)), refusal('documents[1]', /64 levels/));
});

test('names of fields that a client made up are told only when they look like names', () => {
  const refused = (extra: object) => () =>
    parseBody(feedbackRequest, { request_id: 'x', rating: 1, ...extra });
  assert.throws(refused({ ratings: 1 }), /ratings is not known here/);
  assert.throws(refused({ ['secret text '.repeat(99)]: 1 }), /^RequestError: a field is not known here\.$/);
});
