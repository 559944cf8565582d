import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import { createSchedulerMetrics } from '@er-gateway/shared/metrics/scheduler-metrics';
import type { EmbedJob, FeedbackParams, ScoreJob } from '@er-gateway/shared/scheduler-protocol';
import { Registry } from 'prom-client';
import { AnsweredRequests } from '../../../apps/scheduler/src/feedback/answered-requests.ts';
import { FeedbackDesk } from '../../../apps/scheduler/src/feedback/feedback-desk.ts';
import { rankingOf, rankingQuality } from '../../../apps/scheduler/src/feedback/ranking-quality.ts';
import { KeyLabels } from '../../../apps/scheduler/src/key-labels.ts';

const round = (value: number) => Math.round(value * 1e4) / 1e4;
const qualityOf = (ranking: number[], ...relevant: number[]) => {
  const { reciprocalRank, ndcgAt10, precisionAt1 } = rankingQuality(ranking, new Set(relevant));
  return [round(reciprocalRank), round(ndcgAt10), precisionAt1];
};

test('the quality of a ranking is what the textbook says', () => {
  assert.deepEqual(qualityOf([2, 0, 1], 2), [1, 1, 1]);
  assert.deepEqual(qualityOf([2, 0, 1], 0), [0.5, round(1 / Math.log2(3)), 0]);
  // DCG 1/log2(3) + 1/log2(4) of an ideal 1 + 1/log2(3)
  assert.deepEqual(qualityOf([2, 0, 1], 0, 1), [0.5, 0.6934, 0]);
  assert.deepEqual(qualityOf([2, 0, 1], 2, 1), [1, 0.9197, 1]);
  const twelve = [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0];
  assert.deepEqual(qualityOf(twelve, 1), [round(1 / 11), 0, 0], 'nDCG ends at rank 10');
  assert.deepEqual(qualityOf(twelve, ...twelve), [1, 1, 1], 'more relevant ones than ranks');
});

test('equal scores rank in the order of their documents', () => {
  assert.deepEqual(rankingOf([0.1, 0.9, 0.1, 0.9]), [1, 3, 0, 2]);
});

const scoreJob = (documents: number, queries = 1): ScoreJob => ({
  kind: 'score',
  queries: Array<string>(queries).fill('query'),
  documents: Array<string>(documents).fill('document'),
  field: 'documents',
  instruction: null,
  truncation: null,
  maxTokensPerQuery: null,
  maxTokensPerDocument: null,
});
const embedJob = { kind: 'embed', inputs: ['text'] } as EmbedJob;
const base = {
  model: 'm',
  engine: 'vllm',
  promptTokens: 1,
  cacheHits: 0,
  upstreams: [],
  truncated: [],
  queueMs: 0,
  upstreamMs: 0,
};

function createDesk({ maxBytes = 1_000_000 } = {}) {
  const registry = new Registry();
  const answered = new AnsweredRequests(maxBytes, 3600);
  const desk = new FeedbackDesk({
    answered,
    metrics: createSchedulerMetrics(registry),
    labels: new KeyLabels(),
  });
  const take = (feedback: Partial<FeedbackParams>) =>
    desk.take({ keyId: 'k', requestId: 'r', relevant: null, rating: null, ranking: null, ...feedback });
  const rerank = (scores: number[], { keyId = 'k', requestId = 'r', queries = 1 } = {}) =>
    answered.remember(scoreJob(scores.length, queries), { ...base, scores }, keyId, requestId);
  const countOf = async (name: string, key = 'k') => {
    const line = new RegExp(`^${name}\\{model="\\w+",key="${key}"\\} (\\S+)$`, 'm').exec(
      await registry.metrics(),
    );
    return line ? Number(line[1]) : undefined;
  };
  return { answered, take, rerank, countOf };
}

const isError = (code: string, param: string, message: RegExp) => (error: unknown) =>
  error instanceof RequestError &&
  error.code === code &&
  error.param === param &&
  message.test(error.message);

test('feedback on a rerank counts its quality and its rating, each once', async () => {
  const { take, rerank, countOf } = createDesk();
  rerank([0.2, 0.9, 0.4]);
  const first = take({ relevant: [2] });
  assert.deepEqual(first.quality, {
    reciprocalRank: 0.5,
    ndcgAt10: 1 / Math.log2(3),
    precisionAt1: 0,
  });
  assert.equal(first.isCounted, true);
  assert.equal(take({ relevant: [1] }).isCounted, false);
  assert.equal(take({ rating: 4 }).isCounted, true);
  assert.equal(take({ rating: 1, relevant: [2] }).isCounted, false);
  assert.equal(await countOf('er_feedback_reciprocal_rank_count'), 1);
  assert.equal(await countOf('er_feedback_reciprocal_rank_sum'), 0.5);
  assert.equal(await countOf('er_feedback_precision_at_1_sum'), 0);
  assert.equal(await countOf('er_feedback_rating_sum'), 4);
});

test("another key's request is unknown, and says nothing of the other one", () => {
  const { take, rerank } = createDesk();
  rerank([0.2, 0.9], { keyId: 'other' });
  const isUnknown = isError('not_found', 'request_id', /^No answer to this key with this request id/);
  assert.throws(() => take({ relevant: [0] }), isUnknown);
  assert.throws(() => take({ requestId: 'never sent', rating: 3 }), isUnknown);
});

test('an index that the request did not have is refused by its place', () => {
  const { take, rerank } = createDesk();
  rerank([0.2, 0.9]);
  assert.throws(
    () => take({ relevant: [1, 2] }),
    isError('invalid_request', 'relevant[1]', /^relevant\[1\] is 2, but the request had 2 documents/),
  );
});

test('embeddings and pairs of several queries can be rated, but have no ranking', () => {
  const { take, rerank, answered } = createDesk();
  answered.remember(embedJob, { ...base, dimensions: 1, vectors: new Uint8Array(4) }, 'k', 'embedded');
  assert.deepEqual(take({ requestId: 'embedded', rating: 5 }), {
    model: 'embedding',
    quality: null,
    isCounted: true,
  });
  assert.throws(
    () => take({ requestId: 'embedded', relevant: [0] }),
    isError('invalid_request', 'relevant', /made embeddings/),
  );
  rerank([0.1, 0.2], { queries: 2 });
  assert.throws(() => take({ relevant: [0] }), isError('invalid_request', 'relevant', /several queries/));
});

test('a ranking that the caller has kept serves when the request is forgotten, and counts once', () => {
  const { take } = createDesk();
  const told = { relevant: [2], ranking: [1, 2, 0] };
  assert.deepEqual([take(told).quality?.reciprocalRank, take(told).isCounted], [0.5, false]);
});

test('of a ranking that was told only the flags are kept, so that rankings told at length push nothing out', () => {
  const { take, rerank } = createDesk({ maxBytes: 10_000 });
  rerank([0.1, 0.9]);
  const ranking = Array.from({ length: 2000 }, (_, index) => index);
  for (let index = 0; index < 5; index++) {
    const told = { requestId: `told-${index}`, ranking };
    assert.equal(take({ ...told, relevant: [1] }).quality?.reciprocalRank, 0.5);
    assert.equal(take({ ...told, relevant: [0] }).isCounted, false);
  }
  assert.equal(take({ relevant: [1] }).quality?.reciprocalRank, 1, 'what was answered is still there');
  assert.equal(take({ requestId: 'told-4', rating: 3 }).isCounted, true);
  assert.throws(
    () => take({ requestId: 'told-4', relevant: [0] }),
    isError('not_found', 'request_id', /or send `ranking`/),
  );
});

test('what is remembered is bounded, and embeddings do not push out rankings', () => {
  const { answered, rerank, take } = createDesk({ maxBytes: 10_000 });
  rerank([0.1, 0.2]);
  for (let index = 0; index < 100; index++)
    answered.remember(embedJob, { ...base, dimensions: 1, vectors: new Uint8Array(4) }, 'k', `e${index}`);
  assert.equal(answered.find('k', 'e0'), undefined);
  assert.ok(answered.find('k', 'e99'));
  assert.equal(take({ rating: 3 }).model, 'reranker');
  for (let index = 0; index < 100; index++) rerank([0.1, 0.2], { requestId: `r${index}` });
  assert.equal(answered.find('k', 'r'), undefined);
});

test('with no memory at all, feedback comes with its ranking', () => {
  const { rerank, take } = createDesk({ maxBytes: 0 });
  rerank([0.1, 0.2]);
  assert.throws(() => take({ rating: 3 }), isError('not_found', 'request_id', /ranking/));
  assert.equal(take({ relevant: [1], ranking: [1, 0] }).quality?.precisionAt1, 1);
});
