import { errorCatalogue } from '../errors/catalogue.ts';
import { feedbackDefinitions } from './feedback-definitions.ts';
import { hostDefinitions } from './host-definitions.ts';
import { type MetricDefinition, modelLabels as models } from './metric-definition.ts';
import { processDefinitions } from './process-definitions.ts';
import { schedulerDefinitions } from './scheduler-definitions.ts';

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
export const routeLabels = [
  ...modelRoutes,
  '/v1/feedback',
  '/v1/models',
  '/health',
  '/admin',
  '/engines',
  'other',
] as const;
/** A route as metrics name it. */
export type RouteLabel = (typeof routeLabels)[number];

const knownLabels: ReadonlySet<string> = new Set(routeLabels);

/** The label of a request's path (without its query): pages of the monitor are `/admin`, unknown paths `other`. */
export function toRouteLabel(path: string): RouteLabel {
  if (knownLabels.has(path)) return path as RouteLabel;
  if (path.startsWith('/health/')) return '/health';
  if (path.startsWith('/engines/')) return '/engines';
  if (path.startsWith('/admin/') || path === '/metrics' || path === '/dashboard') return '/admin';
  return 'other';
}

/**
 * Every metric of the system: its name, meaning, unit, buckets and labels, those of the gateway here and the others in
 * the files beside. docs/metrics.md is generated from it. No label holds a key, or an id or a path that a caller chose. Buckets are few: a
 * bucket costs about 110 bytes of JSON in each of 64 workers at each scrape.
 */
export const metricDefinitions = {
  er_requests_total: {
    type: 'counter',
    group: 'application',
    owner: 'gateway',
    help: 'Requests answered, by route and HTTP status (499: the client hung up before the answer).',
    unit: 'requests',
    labels: { route: routeLabels, status: 'HTTP status' },
    aggregator: 'sum',
  },
  er_request_duration_seconds: {
    type: 'histogram',
    group: 'application',
    owner: 'gateway',
    help: 'Time from the arrival of a request to the last byte of its answer.',
    unit: 'seconds',
    labels: { route: routeLabels },
    aggregator: 'sum',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60],
  },
  er_request_stage_seconds: {
    type: 'histogram',
    group: 'application',
    owner: 'gateway',
    help: 'Time that a request spent in one stage: the same figures as its Server-Timing header. A request that failed has its time in the stage that it failed in; all of its wait for a model is `upstream` then.',
    unit: 'seconds',
    labels: { stage: stages },
    aggregator: 'sum',
    buckets: [0.0001, 0.001, 0.005, 0.01, 0.05, 0.25, 1, 10, 60],
  },
  er_requests_in_flight: {
    type: 'gauge',
    group: 'application',
    owner: 'gateway',
    help: 'Requests that arrived and are not answered yet, over all workers.',
    unit: 'requests',
    labels: {},
    aggregator: 'sum',
  },
  er_connections: {
    type: 'gauge',
    group: 'application',
    owner: 'gateway',
    help: 'Open connections of clients, over all workers.',
    unit: 'connections',
    labels: {},
    aggregator: 'sum',
  },
  er_request_errors_total: {
    type: 'counter',
    group: 'application',
    owner: 'gateway',
    help: 'Requests that were answered with an error, by its code (docs/errors.md): limits that were hit, and failures.',
    unit: 'requests',
    labels: { code: Object.keys(errorCatalogue) },
    aggregator: 'sum',
  },
  er_rate_limited_total: {
    type: 'counter',
    group: 'application',
    owner: 'gateway',
    help: 'Requests refused with 429 because of what their key may use, by the limit: requests, inputs or tokens a minute, or its share of the concurrency.',
    unit: 'requests',
    labels: { limit: ['requests', 'inputs', 'tokens', 'concurrency'] },
    aggregator: 'sum',
  },
  er_audit_lost_total: {
    type: 'counter',
    group: 'application',
    owner: 'gateway',
    help: 'Requests without a line in the audit trail because the disk refused it.',
    unit: 'requests',
    labels: {},
    aggregator: 'sum',
  },
  er_audit_failing: {
    type: 'gauge',
    group: 'application',
    owner: 'gateway',
    help: '1 while a worker cannot write its audit trail, else 0.',
    unit: 'boolean',
    labels: {},
    aggregator: 'max',
  },
  er_inputs_total: {
    type: 'counter',
    group: 'business',
    owner: 'gateway',
    help: 'Texts embedded and documents scored that were answered, cached ones included; not what was only tokenized.',
    unit: 'inputs',
    labels: { model: models },
    aggregator: 'sum',
  },
  er_tokens_total: {
    type: 'counter',
    group: 'business',
    owner: 'gateway',
    help: 'Tokens of the texts embedded and documents scored, as `usage` reports them to callers.',
    unit: 'tokens',
    labels: { model: models },
    aggregator: 'sum',
  },
  ...schedulerDefinitions,
  ...feedbackDefinitions,
  ...processDefinitions,
  ...hostDefinitions,
} as const satisfies Record<string, MetricDefinition>;

/** The name of a metric. */
export type MetricName = keyof typeof metricDefinitions;
