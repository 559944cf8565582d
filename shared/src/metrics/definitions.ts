/** The steps of a request whose time is kept, in their order; the names of `Server-Timing` too. */
export const stages = ['auth', 'limit', 'parse', 'queue', 'upstream', 'write'] as const;
/** One step of a request. */
export type Stage = (typeof stages)[number];

/** Routes that do a model's work: what request rates and latencies are about. */
export const modelRoutes = [
  '/v1/embeddings',
  '/v1/embed',
  '/v2/embed',
  '/embed',
  '/v1/rerank',
  '/rerank',
  '/v2/rerank',
  '/score',
  '/v1/score',
  '/tokenize',
  '/detokenize',
] as const;

/** Values of the label `route`: a closed set, because every value costs each of 64 workers a histogram. */
export const routeLabels = [...modelRoutes, '/v1/models', '/health', '/admin', '/engines', 'other'] as const;
/** A route as metrics name it. */
export type RouteLabel = (typeof routeLabels)[number];

/** The label of a request's path (without its query): pages of the monitor are `/admin`, unknown paths `other`. */
export function toRouteLabel(path: string): RouteLabel {
  const known = routeLabels.find(route => route === path);
  if (known) return known;
  if (path.startsWith('/health/')) return '/health';
  if (path.startsWith('/engines/')) return '/engines';
  if (path.startsWith('/admin/') || path === '/metrics' || path === '/dashboard') return '/admin';
  return 'other';
}

/** Values of the label `model`: what a model is for, and not its name, which the configuration may change. */
const models = ['embedding', 'reranker'] as const;
/** Why the scheduler refused or dropped a job. */
const rejectionReasons = [
  'overloaded',
  'no_available_upstream',
  'expired',
  'cancelled',
  'shutting_down',
] as const;
/** How a call to a model server ended: refused = a 4xx that concerns the input. */
const upstreamOutcomes = ['ok', 'refused', 'failed', 'timeout', 'cancelled'] as const;

/** How one number is made of those of all processes. */
type Aggregator = 'sum' | 'max';

/** One metric: everything that code and documentation say of it. */
export interface MetricDefinition {
  type: 'counter' | 'gauge' | 'histogram';
  /** Which processes have it. */
  owner: 'gateway' | 'scheduler' | 'every process';
  help: string;
  unit: 'requests' | 'seconds' | 'inputs' | 'tokens' | 'calls' | 'bytes' | 'ratio' | 'processes' | 'boolean';
  /** Label names with their closed set of values, or with words that say what bounds it. */
  labels: Record<string, readonly string[] | string>;
  aggregator: Aggregator;
  /** Upper bounds of a histogram's buckets, in its unit. */
  buckets?: readonly number[];
}

const app = 'PM2 app: gateway, scheduler, state, monitor, embedding, reranker, and replicas by number';

/**
 * Every metric of the system: its name, meaning, unit, buckets and labels. The only place where they are written;
 * docs/metrics.md is generated from it. No label holds a key, an id or a path that a caller chose. Buckets are few: a
 * bucket costs about 110 bytes of JSON in each of 64 workers at each scrape.
 */
export const metricDefinitions = {
  er_requests_total: {
    type: 'counter',
    owner: 'gateway',
    help: 'Requests answered, by route and HTTP status (499: the client hung up before the answer).',
    unit: 'requests',
    labels: { route: routeLabels, status: 'HTTP status' },
    aggregator: 'sum',
  },
  er_request_duration_seconds: {
    type: 'histogram',
    owner: 'gateway',
    help: 'Time from the arrival of a request to the last byte of its answer.',
    unit: 'seconds',
    labels: { route: routeLabels },
    aggregator: 'sum',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60],
  },
  er_request_stage_seconds: {
    type: 'histogram',
    owner: 'gateway',
    help: 'Time that a request spent in one stage: the same figures as its Server-Timing header.',
    unit: 'seconds',
    labels: { stage: stages },
    aggregator: 'sum',
    buckets: [0.0001, 0.001, 0.005, 0.01, 0.05, 0.25, 1, 10, 60],
  },
  er_requests_in_flight: {
    type: 'gauge',
    owner: 'gateway',
    help: 'Requests that arrived and are not answered yet, over all workers.',
    unit: 'requests',
    labels: {},
    aggregator: 'sum',
  },
  er_rate_limited_total: {
    type: 'counter',
    owner: 'gateway',
    help: 'Requests refused with 429 because their key had used up its requests a minute.',
    unit: 'requests',
    labels: {},
    aggregator: 'sum',
  },
  er_unknown_keys_total: {
    type: 'counter',
    owner: 'gateway',
    help: 'Requests refused for want of a good API key, those refused unseen after too many failures included.',
    unit: 'requests',
    labels: {},
    aggregator: 'sum',
  },
  er_audit_lost_total: {
    type: 'counter',
    owner: 'gateway',
    help: 'Requests without a line in the audit trail because the disk refused it.',
    unit: 'requests',
    labels: {},
    aggregator: 'sum',
  },
  er_audit_failing: {
    type: 'gauge',
    owner: 'gateway',
    help: '1 while a worker cannot write its audit trail, else 0.',
    unit: 'boolean',
    labels: {},
    aggregator: 'max',
  },
  er_inputs_total: {
    type: 'counter',
    owner: 'gateway',
    help: 'Texts embedded and documents scored that were answered, cached ones included.',
    unit: 'inputs',
    labels: { model: models },
    aggregator: 'sum',
  },
  er_tokens_total: {
    type: 'counter',
    owner: 'gateway',
    help: 'Tokens of the inputs answered, as `usage` reports them to callers.',
    unit: 'tokens',
    labels: { model: models },
    aggregator: 'sum',
  },
  er_scheduler_in_flight: {
    type: 'gauge',
    owner: 'scheduler',
    help: 'Jobs that the scheduler holds, waiting and running; limits.concurrency is their limit.',
    unit: 'requests',
    labels: {},
    aggregator: 'sum',
  },
  er_scheduler_rejected_total: {
    type: 'counter',
    owner: 'scheduler',
    help: 'Jobs that the scheduler refused or dropped before a model saw them, by reason.',
    unit: 'requests',
    labels: { reason: rejectionReasons },
    aggregator: 'sum',
  },
  er_upstream_requests_total: {
    type: 'counter',
    owner: 'scheduler',
    help: 'HTTP calls to model servers, by how they ended; a retry is a call of its own.',
    unit: 'calls',
    labels: { model: models, outcome: upstreamOutcomes },
    aggregator: 'sum',
  },
  er_upstream_duration_seconds: {
    type: 'histogram',
    owner: 'scheduler',
    help: 'Time of one HTTP call to a model server.',
    unit: 'seconds',
    labels: { model: models },
    aggregator: 'sum',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600],
  },
  er_upstream_ready: {
    type: 'gauge',
    owner: 'scheduler',
    help: '1 when the model server can answer now, else 0.',
    unit: 'boolean',
    labels: { model: models, upstream: 'host:port of a model server, from the configuration' },
    aggregator: 'max',
  },
  er_processes: {
    type: 'gauge',
    owner: 'every process',
    help: 'Processes that answered this scrape.',
    unit: 'processes',
    labels: { app },
    aggregator: 'sum',
  },
  er_process_cpu_seconds_total: {
    type: 'counter',
    owner: 'every process',
    help: 'CPU time used, user and system, all processes of the app together.',
    unit: 'seconds',
    labels: { app },
    aggregator: 'sum',
  },
  er_process_resident_memory_bytes: {
    type: 'gauge',
    owner: 'every process',
    help: 'Resident memory, all processes of the app together; pages that they share count once for each.',
    unit: 'bytes',
    labels: { app },
    aggregator: 'sum',
  },
  er_process_heap_used_bytes: {
    type: 'gauge',
    owner: 'every process',
    help: 'JavaScript heap in use, all processes of the app together.',
    unit: 'bytes',
    labels: { app },
    aggregator: 'sum',
  },
  er_process_event_loop_lag_seconds: {
    type: 'gauge',
    owner: 'every process',
    help: 'Longest delay of a 250 ms timer since the scrape before, in the worst process of the app.',
    unit: 'seconds',
    labels: { app },
    aggregator: 'max',
  },
  er_process_event_loop_utilization: {
    type: 'gauge',
    owner: 'every process',
    help: 'Share of the time since the scrape before in which the event loop was busy, in the worst process of the app.',
    unit: 'ratio',
    labels: { app },
    aggregator: 'max',
  },
} as const satisfies Record<string, MetricDefinition>;

/** The name of a metric. */
export type MetricName = keyof typeof metricDefinitions;
