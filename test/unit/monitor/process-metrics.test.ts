import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createProcessMetrics } from '@er-gateway/shared/metrics/process-metrics';
import { Registry } from 'prom-client';

async function valuesOf(registry: Registry): Promise<Record<string, number>> {
  const metrics = await registry.getMetricsAsJSON();
  return Object.fromEntries(metrics.map(({ name, values }) => [name, values[0]?.value ?? Number.NaN]));
}

/** Keeps the event loop busy. */
function block(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

test('a blocked event loop shows in lag, utilization and CPU time of the next scrape; the lag in later ones too', async () => {
  // Node counts utilization from the first turn of the event loop on.
  await nextTurn();
  const registry = new Registry();
  createProcessMetrics(registry, 'gateway');
  const before = await valuesOf(registry);
  block(600);
  const blocked = await valuesOf(registry);
  assert.ok((blocked.er_process_event_loop_lag_seconds ?? 0) > 0.3, 'the timer is at least 350 ms late');
  assert.ok((blocked.er_process_event_loop_utilization ?? 0) > 0.5);
  const cpu = (blocked.er_process_cpu_seconds_total ?? 0) - (before.er_process_cpu_seconds_total ?? 0);
  assert.ok(cpu > 0.05, `${cpu} s`);
  assert.ok((blocked.er_process_resident_memory_bytes ?? 0) > (blocked.er_process_heap_used_bytes ?? 0));
  const later = await valuesOf(registry);
  assert.ok(
    (later.er_process_event_loop_lag_seconds ?? 0) >= (blocked.er_process_event_loop_lag_seconds ?? 1),
  );
});
