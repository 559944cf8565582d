import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type FakeModel, startFakeModel } from '../../kit/fake-model.ts';
import { type OtlpCollector, startOtlpCollector } from '../../kit/otlp-collector.ts';
import { type SmallSystem, startSmallSystem } from '../../kit/small-system.ts';
import { waitFor } from '../../kit/wait-for.ts';

let models: FakeModel[] = [];
let collector: OtlpCollector;
let system: SmallSystem;

before(async () => {
  models = await Promise.all([
    startFakeModel({ role: 'embedding' }),
    startFakeModel({ role: 'reranker', servedName: 'Qwen3-Reranker-0.6B' }),
  ]);
  collector = await startOtlpCollector();
  system = await startSmallSystem({
    embeddingUrls: [models[0]?.url ?? ''],
    rerankerUrls: [models[1]?.url ?? ''],
    env: { ER_TRACING_URL: collector.url, ER_TRACING_SAMPLE_RATIO: '0' },
  });
});
after(async () => {
  await system?.stop();
  await collector?.close();
  for (const model of models) await model.stop();
});

const traceId = (digit: string) => digit.repeat(32);
const callersSpan = 'b7ad6b7169203331';
const sampled = (digit: string) => ({
  traceparent: `00-${traceId(digit)}-${callersSpan}-01`,
  tracestate: `vendor=${digit}`,
});

/** The spans of a trace, when its request's own is among them. */
const spansOf = (id: string) =>
  waitFor(`the spans of ${id}`, () => {
    const spans = collector.spans.filter(span => span.traceId === id);
    return spans.some(({ parentSpanId }) => parentSpanId === callersSpan) && spans;
  });

test("a request goes on with its caller's trace: a span of it, and one of each stage inside", async () => {
  const answer = await system.post('/v1/embeddings', { input: 'SECRET' }, sampled('1'));
  assert.equal(answer.status, 200);
  const spans = await spansOf(traceId('1'));
  const root = spans.find(({ parentSpanId }) => parentSpanId === callersSpan);
  assert.ok(root);
  assert.equal(root.name, 'POST /v1/embeddings');
  assert.equal(root.kind, 2, 'SERVER');
  assert.deepEqual(
    {
      ...root.attributes,
      'http.route': '/v1/embeddings',
      'http.response.status_code': 200,
      'er.request_id': answer.headers.get('x-request-id'),
      'er.inputs': 1,
      'er.model': 'Qwen3-Embedding-0.6B',
    },
    root.attributes,
  );
  assert.equal(root.resource['service.name'], 'er-gateway');
  const stages = spans.filter(({ parentSpanId }) => parentSpanId === root.spanId);
  assert.deepEqual(
    stages.map(({ name }) => name),
    ['auth', 'limit', 'parse', 'queue', 'upstream', 'write'],
  );
  let at = root.start;
  for (const { name, start, end } of stages) {
    assert.ok(start >= at - 1000n && end >= start, `${name} begins where the stage before ends`);
    at = end;
  }
  assert.ok(at <= root.end + 1000n, 'the stages lie within their request');
  const all = JSON.stringify(spans, (_, value) => (typeof value === 'bigint' ? `${value}` : value));
  assert.ok(!all.includes('SECRET') && !all.includes(system.key));

  // Out: the model server sees the same trace, with our span as the parent.
  const { last } = (await models[0]?.seen()) ?? { last: null };
  assert.equal(last?.headers.traceparent, `00-${traceId('1')}-${root.spanId}-01`);
  assert.equal(last?.headers.tracestate, 'vendor=1');
});

test('a stage that comes twice is drawn twice, each where it was', async () => {
  const made = await system.post('/admin/keys', { name: 'limited', inputs_per_minute: 100 });
  const { key } = (await made.json()) as { key: string };
  const authorization = `Bearer ${key}`;
  await system.post('/v1/embeddings', { input: 'x' }, { ...sampled('9'), authorization });
  const spans = await spansOf(traceId('9'));
  const stages = spans.filter(({ parentSpanId }) => parentSpanId !== callersSpan);
  assert.deepEqual(
    stages.map(({ name }) => name),
    ['auth', 'limit', 'parse', 'limit', 'queue', 'upstream', 'write'],
  );
  for (const [place, { start }] of stages.entries()) {
    const before = stages[place - 1];
    assert.ok(before === undefined || start >= before.end - 1000n, `${place}`);
  }
});

test('a request that is passed on as it is carries the trace too', async () => {
  const path = '/engines/embedding/v1/embeddings';
  await system.post(path, { model: 'Qwen3-Embedding-0.6B', input: 'x' }, sampled('2'));
  const [root] = (await spansOf(traceId('2'))).filter(({ parentSpanId }) => parentSpanId === callersSpan);
  const { last } = (await models[0]?.seen()) ?? { last: null };
  assert.equal(last?.headers.traceparent, `00-${traceId('2')}-${root?.spanId}-01`);
  assert.equal(last?.headers.tracestate, 'vendor=2');
});

test('a refused request has its error code, and a failed one counts as an error', async () => {
  await system.post('/v1/embeddings', { input: 7 }, sampled('3'));
  const [refused] = (await spansOf(traceId('3'))).filter(({ parentSpanId }) => parentSpanId === callersSpan);
  assert.equal(refused?.attributes['error.type'], 'invalid_request');
  assert.equal(refused?.status, 0);
  await models[1]?.fault({ mode: 'hang' });
  const timeout = { ...sampled('4'), 'x-er-timeout-ms': '100' };
  await system.post('/v1/rerank', { query: 'q', documents: ['d'] }, timeout);
  await models[1]?.fault({ mode: 'none' });
  const [failed] = (await spansOf(traceId('4'))).filter(({ parentSpanId }) => parentSpanId === callersSpan);
  assert.equal(failed?.attributes['error.type'], 'upstream_timeout');
  assert.equal(failed?.status, 2, 'ERROR');
});

test('what its caller does not trace, or the ratio leaves out, is not sent', async () => {
  await system.post(
    '/v1/embeddings',
    { input: 'a' },
    { traceparent: `00-${traceId('5')}-${callersSpan}-00` },
  );
  await system.post('/v1/embeddings', { input: 'b' });
  await system.post(
    '/v1/embeddings',
    { input: 'c' },
    { traceparent: '; drop table', tracestate: 'of=nobody' },
  );
  await system.post('/v1/embeddings', { input: 'd' }, sampled('6'));
  await spansOf(traceId('6'));
  const known = new Set(['1', '2', '3', '4', '6', '9'].map(traceId));
  assert.deepEqual(
    collector.spans.filter(span => !known.has(span.traceId)),
    [],
  );
});

test('a collector that fails stops no request, and the log says so once', async () => {
  collector.fail(true);
  for (let index = 0; index < 3; index++)
    assert.equal((await system.post('/v1/embeddings', { input: 'x' }, sampled('7'))).status, 200);
  await waitFor('the log', () => system.output('gateway').includes('traces are lost'), { timeoutMs: 20_000 });
  collector.fail(false);
  await system.post('/v1/embeddings', { input: 'x' }, sampled('8'));
  await spansOf(traceId('8'));
  assert.equal(system.output('gateway').match(/traces are lost/g)?.length, 1);
});
