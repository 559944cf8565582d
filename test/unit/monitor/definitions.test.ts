import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { metricDefinitions, modelRoutes, stages, toRouteLabel } from '@er-gateway/shared/metrics/definitions';
import { createGatewayMetrics } from '@er-gateway/shared/metrics/gateway-metrics';
import { metricsPage } from '@er-gateway/shared/metrics/metrics-page';
import { createProcessMetrics } from '@er-gateway/shared/metrics/process-metrics';
import { createSchedulerGauges, createSchedulerMetrics } from '@er-gateway/shared/metrics/scheduler-metrics';
import { createSupervisorMetrics } from '@er-gateway/shared/metrics/supervisor-metrics';
import { Registry } from 'prom-client';
import { createExpectedMetrics } from '../../../apps/monitor/src/expected-processes.ts';
import { createHostMetrics } from '../../../apps/monitor/src/host-metrics.ts';

const namesOf = (owner: string) =>
  Object.entries(metricDefinitions)
    .filter(([, definition]) => definition.owner === owner)
    .map(([name]) => name)
    .toSorted();

const gatewayMetrics = (registry: Registry) => createGatewayMetrics(registry, () => 3);

function registryOf(create: (registry: Registry) => unknown) {
  const registry = new Registry();
  create(registry);
  return registry;
}

test('docs/metrics.md is what the definitions say (else run: node apps/monitor/src/write-metrics-page.ts)', () => {
  const file = new URL('../../../docs/metrics.md', import.meta.url);
  assert.equal(readFileSync(file, 'utf8'), metricsPage());
});

test('each kind of process has exactly the metrics defined for it', async () => {
  const created = (registry: Registry) =>
    registry
      .getMetricsAsArray()
      .map(({ name }) => name)
      .toSorted();
  const none = { inFlight: 0, capacity: 1, cache: { bytes: 0, entries: 0 }, models: [], keys: [] };
  const createAll = (registry: Registry) => {
    createSchedulerMetrics(registry);
    createSchedulerGauges(registry, () => none);
  };
  assert.deepEqual(created(registryOf(gatewayMetrics)), namesOf('gateway'));
  assert.deepEqual(created(registryOf(createAll)), namesOf('scheduler'));
  const noServer = { isStarted: false, failedStarts: 0, processes: [] };
  assert.deepEqual(
    created(registryOf(registry => createSupervisorMetrics(registry, 'embedding', () => noServer))),
    namesOf('supervisor'),
  );
  const samples = { system: async () => null, gpus: async () => null };
  const createMonitorMetrics = (registry: Registry) => {
    createHostMetrics(registry, samples);
    createExpectedMetrics(registry, new Map());
  };
  assert.deepEqual(created(registryOf(createMonitorMetrics)), namesOf('monitor'));
  assert.deepEqual(
    created(registryOf(registry => createProcessMetrics(registry, 'state'))),
    namesOf('every process'),
  );
});

test('names carry their unit, and counters end in _total', () => {
  for (const [name, { type, unit }] of Object.entries(metricDefinitions)) {
    assert.match(name, /^er_[a-z_0-9]+$/);
    assert.equal(name.endsWith('_total'), type === 'counter', name);
    if (['seconds', 'bytes', 'celsius', 'watts'].includes(unit))
      assert.match(name, new RegExp(`_${unit}(_total)?$`));
  }
});

test('counters with closed label sets are there with 0 from the start', async () => {
  const text = await registryOf(createSchedulerMetrics).metrics();
  assert.match(text, /^er_scheduler_rejected_total\{reason="overloaded"\} 0$/m);
  assert.match(text, /^er_upstream_requests_total\{model="reranker",outcome="timeout"\} 0$/m);
});

test('a busy worker answers with less than 20 KB of JSON', async () => {
  const registry = new Registry();
  createProcessMetrics(registry, 'gateway');
  const metrics = gatewayMetrics(registry);
  for (const route of ['/v1/embeddings', '/v1/rerank', '/score', '/v1/models', '/health'] as const) {
    for (const status of ['200', '429', '503']) metrics.requests.inc({ route, status }, 123456);
    metrics.requestDuration.observe({ route }, 0.0123456789);
  }
  for (const stage of stages) metrics.stageDuration.observe({ stage }, 0.0123456789);
  const size = JSON.stringify(await registry.getMetricsAsJSON()).length;
  assert.ok(size < 20_000, `${size} bytes`);
});

test('paths become labels of the closed set', () => {
  for (const route of modelRoutes) assert.equal(toRouteLabel(route), route);
  assert.equal(toRouteLabel('/health/live'), '/health');
  assert.equal(toRouteLabel('/metrics'), '/admin');
  assert.equal(toRouteLabel('/admin/status'), '/admin');
  assert.equal(toRouteLabel('/engines/embedding/v1/models'), '/engines');
  assert.equal(toRouteLabel('/healthy'), 'other');
  assert.equal(toRouteLabel('/wp-login.php'), 'other');
});
