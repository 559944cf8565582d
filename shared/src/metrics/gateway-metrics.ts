import type { Registry } from 'prom-client';
import { createCounter, createGauge, createHistogram } from './create-metric.ts';

/** What a gateway worker counts. */
export type GatewayMetrics = ReturnType<typeof createGatewayMetrics>;

/** The metrics of a gateway worker, in its registry; what each means stands in definitions.ts. Times are seconds. */
export function createGatewayMetrics(registry: Registry, countConnections: () => number) {
  createGauge(registry, 'er_connections', gauge => gauge.set(countConnections()));
  return {
    requests: createCounter(registry, 'er_requests_total'),
    requestDuration: createHistogram(registry, 'er_request_duration_seconds'),
    stageDuration: createHistogram(registry, 'er_request_stage_seconds'),
    requestsInFlight: createGauge(registry, 'er_requests_in_flight'),
    errors: createCounter(registry, 'er_request_errors_total'),
    rateLimited: createCounter(registry, 'er_rate_limited_total'),
    auditLost: createCounter(registry, 'er_audit_lost_total'),
    auditFailing: createGauge(registry, 'er_audit_failing'),
    inputs: createCounter(registry, 'er_inputs_total'),
    tokens: createCounter(registry, 'er_tokens_total'),
  };
}
