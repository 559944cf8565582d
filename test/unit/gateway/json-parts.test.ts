import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dialectOf, dialectRoutes } from '../../../apps/gateway/src/dialects/table.ts';
import { type BodyPart, BodyWriter } from '../../../apps/gateway/src/wire/body-writer.ts';
import { jsonList, jsonNumbers, jsonWithList } from '../../../apps/gateway/src/wire/json-parts.ts';

const base = {
  model: 'M',
  engine: 'vllm',
  promptTokens: 7,
  cacheHits: 0,
  upstreams: [],
  truncated: [],
  queueMs: 0,
  upstreamMs: 0,
};
/** More than a part should have: the event loop stands still while it is made. */
const mostBytes = 64 * 1024;

function partsOf(path: string, body: Record<string, unknown>, result: object): BodyPart[] {
  const route = dialectRoutes.find(candidate => candidate.path === path);
  assert.ok(route, path);
  const dialect = dialectOf(route, body, {});
  const context = { requestId: 'r', role: 'reranker', limits: { inputs_per_request: 5000 } } as const;
  const answer = dialect.toAnswer({ ...base, ...result } as never, dialect.schema.parse(body), context);
  assert.ok(typeof answer === 'object' && !Buffer.isBuffer(answer), 'made while it is sent');
  return [...(answer as Iterable<BodyPart>)];
}

const documents = Array.from({ length: 1000 }, (_, index) => `${index} ${'x'.repeat(30_000)}`);
const scores = documents.map((_, index) => index / 1000);
for (const [path, body, result] of [
  ['/v1/rerank', { query: 'q', documents }, { scores }],
  ['/v2/rerank', { query: 'q', documents, return_documents: true }, { scores }],
  ['/v1/rerank', { query: 'q', documents, return_documents: true, top_k: 1000 }, { scores }],
  ['/rerank', { query: 'q', texts: documents, return_text: true }, { scores }],
  ['/v2/embed', { texts: documents }, { dimensions: 1, vectors: new Uint8Array(4000) }],
  [
    '/tokenize',
    { prompt: 'a', return_token_strs: true },
    { tokens: Array.from({ length: 100_000 }, () => 151_643), tokenStrs: documents, maxModelLen: 9 },
  ],
] as [string, Record<string, unknown>, object][]) {
  test(`${path} makes a large answer in small parts`, () => {
    const parts = partsOf(path, body, result);
    assert.ok(parts.length > 1000, `${parts.length} parts`);
    const writer = new BodyWriter();
    const written = parts.map(part => writer.writeUpTo([part].values(), Number.POSITIVE_INFINITY).body);
    for (const { length } of written) assert.ok(length <= mostBytes, `a part of ${length} bytes`);
    assert.ok(JSON.parse(Buffer.concat(written).toString()));
  });
}

test('parts of JSON are JSON when they are joined, empty lists too', () => {
  const joined = (parts: Iterable<string>): unknown => JSON.parse([...parts].join(''));
  for (const length of [0, 1, 4096, 4097]) {
    const numbers = Array.from({ length }, (_, index) => index);
    assert.deepEqual(joined(jsonNumbers(numbers)), numbers);
    assert.deepEqual(
      joined(jsonList(numbers, number => ({ number }))),
      numbers.map(number => ({ number })),
    );
  }
  const whole = joined(jsonWithList({ a: '"' }, ['b', jsonList(['x'])], { c: null }));
  assert.deepEqual(whole, { a: '"', b: ['x'], c: null });
});
