import type { Registry } from 'prom-client';
import { createCounter, createGauge, createHistogram } from './create-metric.ts';

/** What the scheduler counts. */
export type SchedulerMetrics = ReturnType<typeof createSchedulerMetrics>;

/** The metrics of the scheduler, in its registry; what each means stands in definitions.ts. Times are seconds. */
export function createSchedulerMetrics(registry: Registry) {
  return {
    inFlight: createGauge(registry, 'er_scheduler_in_flight'),
    rejected: createCounter(registry, 'er_scheduler_rejected_total'),
    upstreamRequests: createCounter(registry, 'er_upstream_requests_total'),
    upstreamDuration: createHistogram(registry, 'er_upstream_duration_seconds'),
    upstreamReady: createGauge(registry, 'er_upstream_ready'),
  };
}
