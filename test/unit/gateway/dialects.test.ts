import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { EmbedResult, ScoreResult } from '@er-gateway/shared/scheduler-protocol';
import type { AnswerBody, Dialect } from '../../../apps/gateway/src/dialects/dialect.ts';
import { dialectOf, dialectRoutes } from '../../../apps/gateway/src/dialects/table.ts';
import { BodyWriter } from '../../../apps/gateway/src/wire/body-writer.ts';

const context = { requestId: 'r1', role: 'embedding', limits: { inputs_per_request: 4 } } as const;
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
const vectors = new Float32Array([0.5, -0.25, 0.125, 1]);
const embedded: EmbedResult = { ...base, dimensions: 2, vectors: new Uint8Array(vectors.buffer) };
const scored: ScoreResult = { ...base, scores: [0.2, 0.9, 0.2] };

function dialectAt(path: string, body: Record<string, unknown> = {}): Dialect {
  const route = dialectRoutes.find(candidate => candidate.path === path);
  assert.ok(route, path);
  return dialectOf(route, body, {});
}

const jobOf = (path: string, body: Record<string, unknown>) => {
  const dialect = dialectAt(path, body);
  return dialect.toJob(dialect.schema.parse(body), context);
};

function answerOf(path: string, body: Record<string, unknown>, result: EmbedResult | ScoreResult): unknown {
  const dialect = dialectAt(path, body);
  const answer: AnswerBody = dialect.toAnswer(result as never, dialect.schema.parse(body), context);
  const parts = typeof answer === 'string' || Buffer.isBuffer(answer) ? [answer] : answer;
  const written = new BodyWriter().writeUpTo(parts[Symbol.iterator](), Number.POSITIVE_INFINITY);
  return JSON.parse(written.body.toString());
}

test('every form of OpenAI input becomes a list of inputs', () => {
  const inputsOf = (input: unknown) => (jobOf('/v1/embeddings', { input }) as { inputs: unknown }).inputs;
  assert.deepEqual(inputsOf('a'), ['a']);
  assert.deepEqual(inputsOf(['a', 'b']), ['a', 'b']);
  assert.deepEqual(inputsOf([1, 2, 3]), [[1, 2, 3]]);
  assert.deepEqual(inputsOf([[1], [2, 3]]), [[1], [2, 3]]);
});

for (const [what, path, body, param] of [
  ['an empty text', '/v1/embeddings', { input: '' }, 'input'],
  ['an empty list', '/v1/embeddings', { input: [] }, 'input'],
  ['an empty text in a list', '/v1/embeddings', { input: ['a', ''] }, 'input[1]'],
  ['empty token ids', '/v1/embeddings', { input: [[1], []] }, 'input[1]'],
  ['too many inputs', '/v1/embeddings', { input: ['a', 'b', 'c', 'd', 'e'] }, 'input'],
  ['no documents', '/v1/rerank', { query: 'q', documents: [] }, 'documents'],
  ['too many documents', '/v2/rerank', { query: 'q', documents: ['a', 'b', 'c', 'd', 'e'] }, 'documents'],
  ['no texts', '/rerank', { query: 'q', texts: [] }, 'texts'],
  ['an empty text for Cohere', '/v2/embed', { texts: ['a', ''] }, 'texts[1]'],
  ['sides that do not pair', '/score', { queries: ['a', 'b'], documents: ['c', 'd', 'e'] }, 'queries'],
  ['a missing side', '/score', { queries: 'a' }, 'documents'],
] as const) {
  test(`${path} refuses ${what} and names ${param}`, () => {
    assert.throws(
      () => jobOf(path, body),
      error => error instanceof RequestError && error.code === 'invalid_request' && error.param === param,
    );
  });
}

test('OpenAI answers hold floats, or base64 of little-endian float32', () => {
  const floats = answerOf('/v1/embeddings', { input: ['a', 'b'] }, embedded);
  assert.deepEqual(floats, {
    object: 'list',
    data: [
      { object: 'embedding', index: 0, embedding: [0.5, -0.25] },
      { object: 'embedding', index: 1, embedding: [0.125, 1] },
    ],
    model: 'M',
    usage: { prompt_tokens: 7, total_tokens: 7 },
  });
  const encoded = answerOf('/v1/embeddings', { input: ['a', 'b'], encoding_format: 'base64' }, embedded) as {
    data: { embedding: string }[];
  };
  assert.equal(Buffer.from(encoded.data[1]?.embedding ?? '', 'base64').readFloatLE(0), 0.125);
});

test('rerank answers are sorted by score, equal scores in the order of their documents, and cut to top_n', () => {
  const body = { query: 'q', documents: ['x', { text: 'y' }, 'z'] };
  const v1 = answerOf('/v1/rerank', body, scored) as {
    results: { index: number; document: { text: string } }[];
  };
  assert.deepEqual(
    v1.results.map(({ index, document }) => [index, document.text]),
    [
      [1, 'y'],
      [0, 'x'],
      [2, 'z'],
    ],
  );
  const cut = answerOf('/v2/rerank', { ...body, top_n: 1 }, scored) as { results: unknown[] };
  assert.deepEqual(cut.results, [{ index: 1, relevance_score: 0.9 }]);
  assert.deepEqual(answerOf('/rerank', { query: 'q', texts: ['x', 'y', 'z'], return_text: true }, scored), [
    { index: 1, score: 0.9, text: 'y' },
    { index: 0, score: 0.2, text: 'x' },
    { index: 2, score: 0.2, text: 'z' },
  ]);
});

test('top_n of 0 and above the number of documents ask for all', () => {
  for (const topN of [0, 99]) {
    const answer = answerOf('/v1/rerank', { query: 'q', documents: ['x', 'y', 'z'], top_n: topN }, scored);
    assert.equal((answer as { results: unknown[] }).results.length, 3);
  }
});

test('TEI and Cohere get vectors and errors in their own shapes', () => {
  assert.deepEqual(answerOf('/embed', { inputs: ['a', 'b'] }, embedded), [
    [0.5, -0.25],
    [0.125, 1],
  ]);
  const cohere = answerOf('/v2/embed', { texts: ['a', 'b'], embedding_types: ['float', 'base64'] }, embedded);
  assert.deepEqual((cohere as { embeddings: { float: unknown } }).embeddings.float, [
    [0.5, -0.25],
    [0.125, 1],
  ]);
  const error = new RequestError('overloaded', 'full');
  assert.deepEqual(dialectAt('/embed').errors?.toBody(error, 'r1'), {
    error: 'full',
    error_type: 'Overloaded',
  });
  assert.deepEqual(dialectAt('/v2/rerank').errors?.toBody(error, 'r1'), { id: 'r1', message: 'full' });
});
