import assert from 'node:assert/strict';
import { test } from 'node:test';
import type {
  LaneStatus,
  ModelStatus,
  SchedulerInspection,
  UpstreamStatus,
} from '@er-gateway/shared/scheduler-protocol';
import { queueView } from '../../../apps/cli/src/queue-view.ts';

const lane: LaneStatus = {
  tokenizes: 'the scheduler',
  slots: 2,
  windowMs: 8.25,
  waitingItems: 0,
  waitingTokens: 0,
  calls: 0,
  items: 0,
  meanBatch: 0,
  tokensPerSecond: 0,
  oldestWaitMs: 0,
  queue: [],
};
const upstream = {
  url: 'http://127.0.0.1:8000',
  isReady: true,
  reason: null,
  isBreakerOpen: false,
  inFlight: 2,
  outstandingTokens: 900,
  latencyMs: 31.4,
} as UpstreamStatus;

test('the queue for people names models, keys by their names, and servers', () => {
  const busy: LaneStatus = {
    ...lane,
    waitingItems: 7,
    waitingTokens: 70,
    meanBatch: 41.23,
    tokensPerSecond: 12_345.6,
    oldestWaitMs: 1234,
    queue: [{ keyId: 'k1', priority: 'bulk', items: 7, tokens: 70 }],
  };
  const down = {
    ...upstream,
    isReady: false,
    reason: 'answers no call, is being tried',
    isBreakerOpen: true,
  };
  const view = queueView(
    {
      models: { embedding: { upstreams: [upstream] }, reranker: { upstreams: [down] } } as Record<
        'embedding' | 'reranker',
        ModelStatus
      >,
      inFlight: 3,
      concurrency: 500,
      lanes: { embedding: busy, reranker: lane },
      cache: { bytes: 5 * 1024 ** 2, entries: 12 },
    } satisfies SchedulerInspection,
    keyId => `name of ${keyId}`,
  );
  assert.match(view, /^3 of 500 requests in flight; cache: 12 results, 5 MB$/m);
  assert.match(view, /^embedding +7 +70 +1234 ms +2 +8\.3 ms +41\.2 +12346$/m);
  assert.match(view, /^reranker +0 .* not seen yet$/m);
  assert.match(view, /^embedding +name of k1 +bulk +7 +70$/m);
  assert.match(view, /^127\.0\.0\.1:8000 +embedding +ready +closed +2 +900 +31 ms$/m);
  assert.match(view, /^127\.0\.0\.1:8000 +reranker +answers no call, is being tried +open /m);
});
