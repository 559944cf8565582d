import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSchedulerMetrics } from '@er-gateway/shared/metrics/scheduler-metrics';
import { Registry } from 'prom-client';
import { snapshotOf } from '../../../apps/monitor/src/counter-ledger.ts';
import { createFeedbackHistory } from '../../../apps/monitor/src/feedback-quality.ts';

const minuteMs = 60_000;

function createSource() {
  const registry = new Registry();
  const metrics = createSchedulerMetrics(registry);
  const history = createFeedbackHistory();
  return {
    history,
    judge: (key: string, reciprocalRank: number) => {
      const labels = { model: 'reranker', key };
      metrics.reciprocalRank.observe(labels, reciprocalRank);
      metrics.ndcgAt10.observe(labels, 1);
      metrics.precisionAt1.observe(labels, reciprocalRank === 1 ? 1 : 0);
    },
    rate: (key: string, rating: number) => metrics.rating.observe({ model: 'embedding', key }, rating),
    look: async (at: number) => history.add({ at, metrics: await snapshotOf(registry) }),
  };
}

test('the means of each model and key, and of each model alone', async () => {
  const { history, judge, rate, look } = createSource();
  assert.deepEqual(history.report(), { lastHour: [], lastDay: [], total: [] });
  judge('a', 1);
  judge('a', 0.5);
  judge('b', 0.25);
  for (const rating of [5, 4, 3, 1]) rate('a', rating);
  await look(0);
  const noRatings = { ratings: 0, meanRating: null, csat: null };
  const notJudged = { judged: 0, mrr: null, ndcgAt10: null, precisionAt1: null };
  const rated = { ...notJudged, ratings: 4, meanRating: 3.25, csat: 0.5 };
  const expected = [
    {
      model: 'reranker',
      key: null,
      judged: 3,
      mrr: 1.75 / 3,
      ndcgAt10: 1,
      precisionAt1: 1 / 3,
      ...noRatings,
    },
    { model: 'embedding', key: null, ...rated },
    { model: 'reranker', key: 'a', judged: 2, mrr: 0.75, ndcgAt10: 1, precisionAt1: 0.5, ...noRatings },
    { model: 'reranker', key: 'b', judged: 1, mrr: 0.25, ndcgAt10: 1, precisionAt1: 0, ...noRatings },
    { model: 'embedding', key: 'a', ...rated },
  ];
  const byName = (rows: { model: string; key: string | null }[]) =>
    rows.toSorted((one, other) => `${one.model} ${one.key}`.localeCompare(`${other.model} ${other.key}`));
  assert.deepEqual(byName(history.report().total), byName(expected));
  assert.deepEqual(history.report().lastHour, [], 'it was there before the monitor looked first');
});

test('an hour and a day forget what is older, the total does not', async () => {
  const { history, judge, look } = createSource();
  const mrrOf = (span: 'lastHour' | 'lastDay' | 'total') => {
    const row = history.report()[span].find(({ key }) => key === null);
    return row ? [row.judged, row.mrr] : null;
  };
  await look(0);
  judge('a', 1);
  await look(1 * minuteMs);
  assert.deepEqual(
    [mrrOf('lastHour'), mrrOf('lastDay'), mrrOf('total')],
    [
      [1, 1],
      [1, 1],
      [1, 1],
    ],
  );
  for (let minute = 10; minute <= 80; minute += 10) await look(minute * minuteMs);
  judge('a', 0.5);
  await look(81 * minuteMs);
  assert.deepEqual(
    [mrrOf('lastHour'), mrrOf('lastDay')],
    [
      [1, 0.5],
      [2, 0.75],
    ],
  );
  for (let minute = 90; minute <= 1600; minute += 10) await look(minute * minuteMs);
  assert.deepEqual([mrrOf('lastHour'), mrrOf('lastDay'), mrrOf('total')], [null, null, [2, 0.75]]);
});
