import assert from 'node:assert/strict';
import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type AuditRecord, searchAudit } from '@er-gateway/shared/audit/search-audit';
import { verifyAudit } from '@er-gateway/shared/audit/verify-audit';
import { type FakeModel, startFakeModel } from '../../kit/fake-model.ts';
import { startLoad } from '../../kit/load.ts';
import { type SmallSystem, startSmallSystem } from '../../kit/small-system.ts';
import { waitFor } from '../../kit/wait-for.ts';

let models: FakeModel[] = [];
let system: SmallSystem;
const folder = () => join(system.folder, 'logs/audit');

before(async () => {
  models = await Promise.all([
    startFakeModel({ role: 'embedding' }),
    startFakeModel({ role: 'reranker', servedName: 'Qwen3-Reranker-0.6B' }),
  ]);
  const [embedding, reranker] = models.map(({ url }) => url);
  system = await startSmallSystem({
    embeddingUrls: [embedding ?? ''],
    rerankerUrls: [reranker ?? ''],
    env: { ER_GATEWAY_MAX_BODY_BYTES: '100000' },
  });
});
after(async () => {
  await system?.stop();
  for (const model of models) await model.stop();
});

/** The lines of a request, as they are when its answer has been read: nothing is waited for. */
async function recordOf(id: string): Promise<AuditRecord> {
  const lines = await searchAudit(folder(), { request: id, limit: 10 });
  assert.equal(lines.length, 1, `${lines.length} lines of ${id}`);
  return lines[0] as AuditRecord;
}
const secret = 'the text that must not be written down';

test('an answered request has one line with all that is known of it when its answer has arrived', async () => {
  const answer = await system.post(
    '/v1/embeddings?user=1',
    { input: [secret, 'b'], model: 'Qwen3-Embedding-0.6B' },
    { 'x-request-id': 'whole-1' },
  );
  const body = await answer.text();
  const { time, ms, upstream, ...record } = await recordOf('whole-1');
  assert.ok(Math.abs(Date.now() - Date.parse(time)) < 5000);
  assert.deepEqual(Object.keys(ms as object), [
    'auth',
    'limit',
    'parse',
    'queue',
    'upstream',
    'write',
    'total',
  ]);
  assert.deepEqual(upstream, [new URL(models[0]?.url ?? '').host]);
  const { usage } = JSON.parse(body) as { usage: { prompt_tokens: number } };
  assert.match(String(record.key_id), /^[0-9a-f]{16}$/);
  assert.deepEqual(record, {
    request_id: 'whole-1',
    key_id: record.key_id,
    key_name: 'default',
    address: '127.0.0.1',
    method: 'POST',
    route: '/v1/embeddings',
    dialect: 'openai',
    model: 'Qwen3-Embedding-0.6B',
    inputs: 2,
    tokens: usage.prompt_tokens,
    cache_hits: 0,
    bytes_in: Buffer.byteLength(JSON.stringify({ input: [secret, 'b'], model: 'Qwen3-Embedding-0.6B' })),
    bytes_out: Buffer.byteLength(body),
    status: 200,
    code: null,
  });
  for (const id of ['fresh', 'again']) {
    const one = await system.post('/v1/embeddings', { input: 'once more' }, { 'x-request-id': id });
    await one.arrayBuffer();
  }
  const cached = await recordOf('again');
  assert.deepEqual([cached.cache_hits, cached.upstream], [1, []]);
});

test('requests that are refused, streamed, compressed, proxied or public have their line too', async () => {
  const send = async (id: string, path: string, init: RequestInit = {}) => {
    const answer = await system.fetch(path, {
      ...init,
      headers: { 'x-request-id': id, 'content-type': 'application/json', ...(init.headers as object) },
    });
    await answer.arrayBuffer();
    return answer.status;
  };
  const post = (body: unknown, headers = {}) => ({ method: 'POST', body: JSON.stringify(body), headers });
  const many = { input: Array.from({ length: 200 }, (_, index) => `text ${index}`) };
  const asked = { input: secret, model: 'Qwen3-Embedding-0.6B' };
  const packed = {
    method: 'POST',
    body: gzipSync(JSON.stringify({ input: 'a'.repeat(1000) })),
    headers: { 'content-encoding': 'gzip' },
  };
  const cases: [id: string, path: string, init: RequestInit, status: number, code: string | null][] = [
    [
      'r-401',
      '/v1/embeddings',
      post({}, { authorization: 'Bearer er-nobody-knows-it' }),
      401,
      'invalid_api_key',
    ],
    ['r-400', '/v1/embeddings', post({ input: '' }), 400, 'invalid_request'],
    ['r-404', '/nowhere', {}, 404, 'not_found'],
    ['r-405', '/v1/embeddings', {}, 405, 'method_not_allowed'],
    ['r-413', '/v1/embeddings', post({ input: 'x'.repeat(100_001) }), 413, 'request_too_large'],
    ['r-model', '/v1/embeddings', post({ input: 'a', model: 'x' }), 404, 'model_not_found'],
    ['r-stream', '/v1/embeddings', post(many, { 'accept-encoding': 'identity' }), 200, null],
    ['r-gzip', '/v1/embeddings', post(many, { 'accept-encoding': 'gzip' }), 200, null],
    ['r-packed', '/v1/embeddings', packed, 200, null],
    ['r-proxy', '/engines/embedding/v1/models', {}, 200, null],
    ['r-engine', '/engines/embedding/v1/embeddings', post(asked), 200, null],
    ['r-health', '/health', {}, 200, null],
    ['r-head', '/v1/models', { method: 'HEAD' }, 200, null],
  ];
  for (const [id, path, init, status, code] of cases) {
    assert.equal(await send(id, path, init), status, id);
    const record = await recordOf(id);
    assert.deepEqual([record.status, record.code], [status, code], id);
    if (status === 200 && id !== 'r-head') assert.ok(Number(record.bytes_out) > 0, id);
  }
  const [streamed, gzipped] = [await recordOf('r-stream'), await recordOf('r-gzip')];
  assert.ok(Number(gzipped.bytes_out) < Number(streamed.bytes_out), 'the bytes that were sent');
  assert.equal((await recordOf('r-packed')).bytes_in, packed.body.length, 'the bytes that came');
  const { model, upstream, bytes_in: bytesIn } = await recordOf('r-engine');
  assert.deepEqual(
    [model, upstream, bytesIn],
    ['Qwen3-Embedding-0.6B', [new URL(models[0]?.url ?? '').host], JSON.stringify(asked).length],
  );
});

test('a client that leaves before its answer has a line of 499', async () => {
  await models[0]?.fault({ mode: 'slow', ms: 2000 });
  const leave = new AbortController();
  const asked = system.fetch('/v1/embeddings', {
    method: 'POST',
    signal: leave.signal,
    body: JSON.stringify({ input: 'never read' }),
    headers: { 'x-request-id': 'gone', 'content-type': 'application/json' },
  });
  await waitFor('the model to get it', async () => (await models[0]?.seen())?.inFlight);
  leave.abort();
  await assert.rejects(asked);
  await waitFor('its line', async () => (await searchAudit(folder(), { request: 'gone', limit: 1 })).length);
  const record = await recordOf('gone');
  assert.deepEqual([record.status, record.code], [499, 'client_closed_request']);
  await models[0]?.fault({ mode: 'none' });
});

test('a kill -9 under load loses no line of an answered request, and the trail is whole', async t => {
  const load = startLoad({
    url: system.url,
    key: system.key,
    connections: 16,
    until: t.signal,
    body: id => ({ input: id }),
  });
  await load.answersMore(200);
  await system.kill('gateway');
  system.start('gateway');
  await load.answersMore(50);
  const { answered } = await load.stop();
  const lines = await searchAudit(folder(), { route: '/v1/embeddings', status: 200, limit: 1_000_000 });
  const ids = new Set(lines.map(({ request_id }) => request_id).filter(id => id?.startsWith('load-')));
  assert.ok(ids.size >= answered, `${answered} answered, ${ids.size} lines`);
  const report = await verifyAudit(folder());
  assert.deepEqual([report.problems, report.lost], [[], 0]);
});

test('the trail holds no text, no vector and no key, and er audit verify finds a line that was added', async () => {
  const text = readFileSync(join(folder(), 'gateway-0.jsonl'), 'utf8');
  for (const what of [secret, system.key, 'api_key=', '"embedding":[', 'nobody-knows'])
    assert.ok(!text.includes(what), what);
  appendFileSync(join(folder(), 'gateway-0.jsonl'), `${text.split('\n')[1]}\n`);
  assert.match((await verifyAudit(folder())).problems.join(), /is changed, or one before it is missing/);
});
