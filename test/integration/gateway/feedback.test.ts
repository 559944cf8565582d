import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type FakeModel, startFakeModel } from '../../kit/fake-model.ts';
import { seriesOf } from '../../kit/process-status.ts';
import { type SmallSystem, startSmallSystem } from '../../kit/small-system.ts';
import { waitFor } from '../../kit/wait-for.ts';

let models: FakeModel[] = [];
let system: SmallSystem;
const otherKey = `er-${'O7her'.repeat(8)}`;

before(async () => {
  const [embedding, reranker] = await Promise.all([
    startFakeModel({ role: 'embedding' }),
    startFakeModel({ role: 'reranker', servedName: 'Qwen3-Reranker-0.6B' }),
  ]);
  models = [embedding, reranker];
  system = await startSmallSystem({ embeddingUrls: [embedding.url], rerankerUrls: [reranker.url] });
  writeFileSync(system.keysFile, JSON.stringify({ keys: [{ key: system.key, role: 'admin' }, otherKey] }));
  await waitFor('the other key', async () => {
    const answer = await fetch(`${system.url}/v1/models?api_key=${otherKey}`);
    return answer.ok;
  });
});
after(async () => {
  await system?.stop();
  for (const model of models) await model.stop();
});

interface RerankBody {
  id: string;
  results: { index: number; relevance_score: number }[];
}

/** Reranks; resolves to the request id and the indexes, the best first. */
async function rerank(documents: string[], headers: Record<string, string> = {}) {
  const answer = await system.post('/v1/rerank', { query: 'What is AI?', documents }, headers);
  const { results } = (await answer.json()) as RerankBody;
  return { id: answer.headers.get('x-request-id') ?? '', ranking: results.map(({ index }) => index) };
}

async function feedback(body: unknown, headers: Record<string, string> = {}) {
  const answer = await system.post('/v1/feedback', body, headers);
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

const documents = ['AI is artificial intelligence', 'AI helps humans', 'Bananas are yellow'];

test('a user key tells which documents were relevant, and gets the quality of its ranking', async () => {
  const { id, ranking } = await rerank(documents);
  const second = ranking[1] ?? -1;
  const { status, body } = await feedback({ request_id: id, relevant: [second], rating: 4 });
  assert.equal(status, 200);
  assert.deepEqual(body, {
    request_id: id,
    model: 'Qwen3-Reranker-0.6B',
    counted: true,
    reciprocal_rank: 0.5,
    ndcg_at_10: 1 / Math.log2(3),
    precision_at_1: 0,
    rating: 4,
  });
  const again = await feedback({ request_id: id, relevant: [second], rating: 4 });
  assert.equal(again.body.counted, false);
  const series = await seriesOf(join(system.folder, 'run'), 'scheduler');
  const one = [...series].find(([name]) => name.startsWith('er_feedback_rating_bucket{le=4,model=reranker,'));
  assert.equal(one?.[1], 1);
});

test("top_n shows less, but the whole ranking counts; a client's own request id names it", async () => {
  const own = { 'x-request-id': 'search-17' };
  await system.post('/v1/rerank', { query: 'q', documents, top_n: 1 }, own);
  const { body } = await feedback({ request_id: 'search-17', relevant: [0, 1, 2] });
  assert.deepEqual([body.precision_at_1, body.ndcg_at_10], [1, 1]);
});

test('embeddings can be rated', async () => {
  const answer = await system.post('/v1/embeddings', { input: 'Hello' });
  const { status, body } = await feedback({ request_id: answer.headers.get('x-request-id'), rating: 5 });
  assert.equal(status, 200);
  assert.equal(body.model, 'Qwen3-Embedding-0.6B');
});

test('after a restart of the scheduler the ranking that the client kept serves', async () => {
  const { id, ranking } = await rerank(documents);
  await system.kill('scheduler');
  system.start('scheduler');
  await waitFor('the models', async () => (await fetch(`${system.url}/health`)).ok);
  const unknown = await feedback({ request_id: id, relevant: [ranking[0]] });
  assert.equal(unknown.status, 404);
  const { body } = await feedback({ request_id: id, relevant: [ranking[0]], ranking });
  assert.equal(body.precision_at_1, 1);
});

for (const [what, body, status, code, param, message] of [
  ['an unknown request id', { request_id: 'nobody-knows', rating: 3 }, 404, 'not_found', 'request_id', /key/],
  ['nothing said', { request_id: 'r' }, 400, 'invalid_request', null, /send relevant, rating, or both/],
  ['no request id', { rating: 3 }, 400, 'invalid_request', 'request_id', /request_id is missing/],
  ['a rating of 6', { request_id: 'r', rating: 6 }, 400, 'invalid_request', 'rating', /from 1 to 5/],
  [
    'an index below 0',
    { request_id: 'r', relevant: [-1] },
    400,
    'invalid_request',
    'relevant[0]',
    /begin with 0/,
  ],
  ['no index', { request_id: 'r', relevant: [] }, 400, 'invalid_request', 'relevant', /must not be empty/],
  [
    'a ranking with gaps',
    { request_id: 'r', relevant: [0], ranking: [0, 2] },
    400,
    'invalid_request',
    'ranking',
    /once/,
  ],
  [
    'a ranking longer than any request',
    { request_id: 'r', relevant: [0], ranking: Array.from({ length: 2049 }, (_, index) => index) },
    400,
    'invalid_request',
    'ranking',
    /at most 2048 documents/,
  ],
  ['a comment', { request_id: 'r', rating: 3, comment: 'good' }, 400, 'invalid_request', null, /comment/],
] as const) {
  test(`feedback with ${what} is refused with the reason`, async () => {
    const refused = await feedback(body);
    const error = refused.body.error as { message: string; code: string; param: string | null };
    assert.deepEqual([refused.status, error.code, error.param], [status, code, param], error.message);
    assert.match(error.message, message);
  });
}

test("an index out of the request's range, and another key's request, are refused", async () => {
  const { id } = await rerank(documents);
  const wrong = await feedback({ request_id: id, relevant: [3] });
  assert.equal((wrong.body.error as { param: string }).param, 'relevant[0]');
  assert.equal(
    (await feedback({ request_id: id, rating: 3 }, { authorization: `Bearer ${otherKey}` })).status,
    404,
  );
  assert.equal((await feedback({ request_id: id, rating: 3 })).status, 200);
});

test('feedback needs a key and POST, and is in the audit trail', async () => {
  assert.equal((await fetch(`${system.url}/v1/feedback`, { method: 'POST' })).status, 401);
  const got = await system.fetch('/v1/feedback');
  assert.deepEqual([got.status, got.headers.get('allow')], [405, 'POST']);
  const folder = join(system.folder, 'logs/audit');
  const lines = readdirSync(folder).flatMap(name => readFileSync(join(folder, name), 'utf8').split('\n'));
  assert.ok(lines.some(line => line.includes('"route":"/v1/feedback"') && line.includes('"status":200')));
});
