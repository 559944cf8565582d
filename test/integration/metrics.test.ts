import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type FakeModel, startFakeModel } from '../kit/fake-model.ts';
import { seriesOf } from '../kit/process-status.ts';
import { type SmallSystem, startSmallSystem } from '../kit/small-system.ts';
import { waitFor } from '../kit/wait-for.ts';

let embedding: FakeModel;
let reranker: FakeModel;
let system: SmallSystem;

before(async () => {
  embedding = await startFakeModel({ role: 'embedding' });
  reranker = await startFakeModel({ role: 'reranker', servedName: 'Qwen3-Reranker-0.6B' });
  system = await startSmallSystem({ embeddingUrls: [embedding.url], rerankerUrls: [reranker.url] });
});
after(async () => {
  await system?.stop();
  await embedding?.stop();
  await reranker?.stop();
});

const series = (app: string) => seriesOf(join(system.folder, 'run'), app);
const embed = (input: string | string[]) => system.post('/v1/embeddings', { input });

/** Waits until a series of an app has a value that satisfies. */
const until = (app: string, name: string, satisfies: (value: number) => boolean) =>
  waitFor(`${name} of ${app}`, async () => satisfies((await series(app)).get(name) ?? Number.NaN));

test('a call counts its batch, its cache lookups and the work of its key', async () => {
  const before = await series('scheduler');
  assert.equal(before.get('er_scheduler_capacity'), 500);
  assert.equal(before.get('er_queue_items{model=embedding}'), 0);
  const answer = await embed('one text');
  assert.equal(answer.status, 200);
  await embed('one text');
  const now = await series('scheduler');
  const grown = (name: string) => (now.get(name) ?? 0) - (before.get(name) ?? 0);
  assert.equal(grown('er_cache_items_total{model=embedding,result=miss}'), 1);
  assert.equal(grown('er_cache_items_total{model=embedding,result=hit}'), 1);
  assert.equal(grown('er_batch_items_bucket{le=1,model=embedding}'), 1);
  assert.equal(grown('er_batch_fill_ratio_bucket{le=0.1,model=embedding}'), 1);
  assert.equal(grown('er_cache_entries'), 1);
  const key = [...now.keys()].find(name => name.startsWith('er_key_requests_total{')) ?? '';
  assert.match(key, /^er_key_requests_total\{model=embedding,key=[0-9a-f]{16}\}$/);
  assert.equal(now.get(key), 2);
});

test('inputs and tokens are what the models did, not what was only tokenized', async () => {
  const counted = async () => {
    const now = await series('gateway');
    return ['inputs', 'tokens'].map(unit => now.get(`er_${unit}_total{model=embedding}`));
  };
  const before = await counted();
  const tokenized = await system.post('/tokenize', { prompt: 'one text' });
  assert.equal(tokenized.status, 200);
  assert.deepEqual(await counted(), before);
  await embed(['one', 'two']);
  assert.equal((await counted())[0], (before[0] ?? 0) + 2);
});

test('what waits shows with its age, and clients by their connections', async () => {
  await embedding.fault({ mode: 'slow', ms: 1500 });
  // Calls to a server that counts no tokens hold one job each, 64 at once: the others wait.
  const asked = Array.from({ length: 80 }, (_, index) => embed(`a text that waits ${index}`));
  await until('scheduler', 'er_queue_items{model=embedding}', items => items > 0);
  await until('scheduler', 'er_queue_age_seconds{model=embedding}', seconds => seconds > 0.1);
  const [scheduler, gateway] = [await series('scheduler'), await series('gateway')];
  assert.ok((scheduler.get('er_scheduler_in_flight') ?? 0) > 64);
  assert.ok((gateway.get('er_connections') ?? 0) > 64);
  await embedding.fault({ mode: 'none' });
  await Promise.all(asked);
  await until('scheduler', 'er_queue_age_seconds{model=embedding}', seconds => seconds === 0);
});

test('a connection that says nothing counts while it is open', async () => {
  const open = (await series('gateway')).get('er_connections') ?? 0;
  const socket = connect(Number(new URL(system.url).port), '127.0.0.1');
  await until('gateway', 'er_connections', connections => connections === open + 1);
  socket.destroy();
  await until('gateway', 'er_connections', connections => connections <= open);
});

test('refused requests count by their error code', async () => {
  const refused = await system.post('/v1/embeddings', { input: 3 });
  assert.equal(refused.status, 400);
  await until('gateway', 'er_request_errors_total{code=invalid_request}', count => count === 1);
  assert.equal((await series('gateway')).get('er_request_errors_total{code=rate_limit_exceeded}'), 0);
});

test('the time of a failed request is booked under the stage that it failed in', async () => {
  const sumOf = async (stage: string) =>
    (await series('gateway')).get(`er_request_stage_seconds_sum{stage=${stage}}`) ?? 0;
  const [upstream, write] = [await sumOf('upstream'), await sumOf('write')];
  await reranker.fault({ mode: 'hang' });
  const late = await system.post(
    '/v1/rerank',
    { query: 'q', documents: ['a document that hangs'] },
    { 'x-er-timeout-ms': '400' },
  );
  await reranker.fault({ mode: 'none' });
  assert.equal(late.status, 504);
  const stage = (name: string) =>
    Number(new RegExp(`${name};dur=([\\d.]+)`).exec(late.headers.get('server-timing') ?? '')?.[1]);
  assert.ok(stage('upstream') > 300, `${late.headers.get('server-timing')}`);
  assert.ok((await sumOf('upstream')) - upstream > 0.3);
  assert.ok((await sumOf('write')) - write < 0.2);
});

test('a server that fails in a row shows its breaker, and that it is ready again', async () => {
  const server = `{model=reranker,upstream=${new URL(reranker.url).host}}`;
  await until('scheduler', `er_upstream_ready${server}`, ready => ready === 1);
  await reranker.fault({ mode: 'status-500' });
  await Promise.all(
    Array.from({ length: 6 }, (_, index) =>
      system.post('/v1/rerank', { query: `query ${index}`, documents: ['a document'] }),
    ),
  );
  await until('scheduler', `er_upstream_breaker_open${server}`, open => open === 1);
  await until('scheduler', `er_upstream_ready${server}`, ready => ready === 0);
  assert.equal((await series('scheduler')).get(`er_upstream_breaker_opened_total${server}`), 1);
  await reranker.fault({ mode: 'none' });
  await until('scheduler', `er_upstream_breaker_open${server}`, open => open === 0);
  await until('scheduler', `er_upstream_ready${server}`, ready => ready === 1);
});
