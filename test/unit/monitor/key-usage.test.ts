import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyUsageBetween } from '../../../apps/monitor/src/key-usage.ts';
import { createTrafficWindow } from '../../../apps/monitor/src/traffic.ts';

const counter = (name: string, rows: [labels: Record<string, string>, value: number][]) => ({
  name,
  help: '',
  type: 'counter',
  aggregator: 'sum',
  values: rows.map(([labels, value]) => ({ value, labels })),
});
const usage = (...rows: [key: string, model: string, requests: number, tokens: number][]) => [
  counter(
    'er_key_requests_total',
    rows.map(([key, model, requests]) => [{ key, model }, requests]),
  ),
  counter(
    'er_key_tokens_total',
    rows.map(([key, model, , tokens]) => [{ key, model }, tokens]),
  ),
];

test('the use of both models is added up by key, in all and since a moment, the busiest first', () => {
  const first = usage(['a', 'embedding', 10, 1000]);
  const last = usage(['a', 'embedding', 12, 1200], ['a', 'reranker', 1, 50], ['b', 'reranker', 3, 900]);
  assert.deepEqual(keyUsageBetween(first, last), [
    {
      key: 'b',
      total: { requests: 3, inputs: 0, tokens: 900 },
      recent: { requests: 3, inputs: 0, tokens: 900 },
    },
    {
      key: 'a',
      total: { requests: 13, inputs: 0, tokens: 1250 },
      recent: { requests: 3, inputs: 0, tokens: 250 },
    },
  ]);
  assert.deepEqual(keyUsageBetween([], []), []);
});

test('cache hits and batches are those of the window', () => {
  const cache = (hits: number, misses: number) =>
    counter('er_cache_items_total', [
      [{ model: 'embedding', result: 'hit' }, hits],
      [{ model: 'reranker', result: 'miss' }, misses],
    ]);
  const histogram = (name: string, count: number, sum: number) => ({
    ...counter(name, []),
    type: 'histogram',
    values: [
      { value: count, labels: { model: 'embedding' }, metricName: `${name}_count` },
      { value: sum, labels: { model: 'embedding' }, metricName: `${name}_sum` },
      { value: count, labels: { model: 'embedding', le: '+Inf' }, metricName: `${name}_bucket` },
    ],
  });
  const traffic = createTrafficWindow();
  traffic.add({
    at: 0,
    metrics: [cache(100, 0), histogram('er_batch_items', 10, 10), histogram('er_batch_fill_ratio', 10, 1)],
  });
  assert.equal(traffic.summary().cacheHitRate, null);
  assert.deepEqual(traffic.summary().batches.embedding, { calls: 0, meanItems: null, meanFill: null });
  traffic.add({
    at: 10_000,
    metrics: [cache(103, 1), histogram('er_batch_items', 14, 110), histogram('er_batch_fill_ratio', 14, 3)],
  });
  const { cacheHitRate, batches } = traffic.summary();
  assert.equal(cacheHitRate, 0.75);
  assert.deepEqual(batches.embedding, { calls: 4, meanItems: 25, meanFill: 0.5 });
  assert.deepEqual(batches.reranker, { calls: 0, meanItems: null, meanFill: null });
});
