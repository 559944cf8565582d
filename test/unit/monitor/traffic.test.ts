import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MetricSnapshot } from '../../../apps/monitor/src/counter-ledger.ts';
import { createTrafficWindow, quantileOf, trafficBetween } from '../../../apps/monitor/src/traffic.ts';

const metric = (name: string, values: MetricSnapshot['values']): MetricSnapshot => ({
  name,
  help: name,
  type: 'counter',
  aggregator: 'sum',
  values,
});

/** Metrics after `ok` good and `refused` limited requests, and as many calls of /health. */
function metricsAfter(ok: number, refused: number): MetricSnapshot[] {
  const bucket = (le: number | string, value: number) => ({
    labels: { route: '/v1/embeddings', le },
    value,
    metricName: 'er_request_duration_seconds_bucket',
  });
  return [
    metric('er_requests_total', [
      { labels: { route: '/v1/embeddings', status: '200' }, value: ok },
      { labels: { route: '/v1/rerank', status: '429' }, value: refused },
      { labels: { route: '/health', status: '200' }, value: 1000 * ok },
    ]),
    metric('er_request_duration_seconds', [
      bucket(0.1, ok),
      bucket(0.2, ok + refused),
      bucket('+Inf', ok + refused),
    ]),
    metric('er_inputs_total', [{ labels: { model: 'embedding' }, value: 32 * ok }]),
    metric('er_process_cpu_seconds_total', [
      { labels: { app: 'gateway' }, value: ok / 10 },
      { labels: { app: 'state' }, value: 7 },
    ]),
    metric('er_requests_in_flight', [{ labels: {}, value: 3 }]),
  ];
}

test('rates are of the model routes and of the time between two samples', () => {
  const traffic = trafficBetween(
    { at: 0, metrics: metricsAfter(10, 5) },
    { at: 20_000, metrics: metricsAfter(40, 15) },
  );
  assert.equal(traffic.windowSeconds, 20);
  assert.equal(traffic.requestsPerSecond, 2);
  assert.equal(traffic.successRate, 0.75);
  assert.deepEqual(traffic.statuses, { 200: 30, 429: 10 });
  assert.equal(traffic.inputsPerSecond, 48);
  assert.equal(traffic.requestsTotal, 55);
  assert.equal(traffic.inFlight, 3);
  assert.ok(Math.abs((traffic.p95Ms ?? 0) - 180) < 0.001, `${traffic.p95Ms}`);
});

test('the window forgets what is older than a minute', () => {
  const window = createTrafficWindow();
  assert.equal(window.summary().successRate, null);
  assert.equal(window.cpuCores('gateway'), null);
  window.add({ at: 0, metrics: metricsAfter(0, 0) });
  window.add({ at: 30_000, metrics: metricsAfter(300, 0) });
  assert.equal(window.summary().requestsPerSecond, 10);
  assert.equal(window.cpuCores('gateway'), 1);
  assert.equal(window.cpuCores('state'), 0);
  window.add({ at: 80_000, metrics: metricsAfter(300, 0) });
  assert.equal(window.summary().windowSeconds, 50);
  assert.equal(window.summary().requestsPerSecond, 0);
  assert.equal(window.summary().p50Ms, null);
});

test('quantiles lie on straight lines inside buckets, and never above the last bound', () => {
  const buckets = [
    { upTo: 1, count: 10 },
    { upTo: 2, count: 20 },
    { upTo: Number.POSITIVE_INFINITY, count: 40 },
  ];
  assert.equal(quantileOf(buckets, 0.125), 0.5);
  assert.equal(quantileOf(buckets, 0.375), 1.5);
  assert.equal(quantileOf(buckets, 0.99), 2);
  assert.equal(quantileOf([], 0.5), null);
});
