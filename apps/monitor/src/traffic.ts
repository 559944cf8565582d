import type { Role } from '@er-gateway/shared/config/schema';
import { type MetricName, modelRoutes } from '@er-gateway/shared/metrics/definitions';
import type { MetricSnapshot } from './counter-ledger.ts';
import { type KeyUsage, keyUsageBetween, usageMetrics } from './key-usage.ts';

/** How far back rates look, in milliseconds, and those of the charts' points. */
const windowMs = 60_000;
const recentMs = 10_000;

/** What the gateway did in the last minute (or since the monitor started), model routes only; rates a second, times in milliseconds. */
export interface Traffic {
  windowSeconds: number;
  requestsPerSecond: number;
  /** Share of the window's answers with a 2xx status, 0 to 1; null when there were none. */
  successRate: number | null;
  statuses: Record<string, number>;
  p50Ms: number | null;
  p95Ms: number | null;
  p99Ms: number | null;
  inputsPerSecond: number;
  tokensPerSecond: number;
  /** Share of texts and pairs that were in the cache, 0 to 1; null when none was looked for. */
  cacheHitRate: number | null;
  /** Calls to the model servers, and how large and how full they were on average (null without calls). */
  batches: Record<Role, { calls: number; meanItems: number | null; meanFill: number | null }>;
  inFlight: number;
  /** Since counting began. */
  requestsTotal: number;
}

/** A moment's merged metrics. */
interface Sample {
  at: number;
  metrics: MetricSnapshot[];
}

/** What is looked at below: the other metrics of a minute are not worth their memory. */
const kept: ReadonlySet<string> = new Set<MetricName>([
  'er_requests_total',
  'er_request_duration_seconds',
  'er_requests_in_flight',
  'er_inputs_total',
  'er_tokens_total',
  'er_cache_items_total',
  'er_batch_items',
  'er_batch_fill_ratio',
  'er_process_cpu_seconds_total',
  ...usageMetrics,
]);

/** Remembers the merged metrics of the last minute, and says what happened in it. */
export interface TrafficWindow {
  add: (sample: Sample) => void;
  summary: () => Traffic;
  /** The same of the last ten seconds, or since the sample before the newest when that is longer ago. */
  recent: () => Traffic;
  /** The models' use by key, in the last minute and in all. */
  keys: () => KeyUsage[];
  /** CPU that an app used, in cores; null until there are two samples. */
  cpuCores: (app: string) => number | null;
}

/** A window without samples yet. */
export function createTrafficWindow(): TrafficWindow {
  let samples: Sample[] = [];
  const ends = () => ({ first: samples[0], last: samples.at(-1) });
  const nothing: Sample = { at: 0, metrics: [] };
  return {
    add: ({ at, metrics }) => {
      const sample = { at, metrics: metrics.filter(({ name }) => kept.has(name)) };
      samples = [...samples.filter(one => at - one.at <= windowMs && one.at < at), sample];
    },
    summary: () => {
      const { first, last } = ends();
      return trafficBetween(first ?? nothing, last ?? nothing);
    },
    recent: () => {
      const last = samples.at(-1) ?? nothing;
      const before = samples.slice(0, -1);
      const first = before.find(({ at }) => last.at - at <= recentMs) ?? before.at(-1) ?? last;
      return trafficBetween(first, last);
    },
    keys: () => {
      const { first, last } = ends();
      return keyUsageBetween(first?.metrics ?? [], last?.metrics ?? []);
    },
    cpuCores: app => {
      const { first, last } = ends();
      if (!first || !last || first === last) return null;
      return perSecond(first, last, 'er_process_cpu_seconds_total', labels => labels.app === app);
    },
  };
}

/** What happened between two samples. */
export function trafficBetween(first: Sample, last: Sample): Traffic {
  const statuses: Record<string, number> = {};
  for (const { value, labels } of seriesOf(last, 'er_requests_total')) {
    if (isModelRoute(labels)) statuses[`${labels.status}`] = (statuses[`${labels.status}`] ?? 0) + value;
  }
  const requestsTotal = sumOf(Object.values(statuses));
  for (const { value, labels } of seriesOf(first, 'er_requests_total')) {
    if (isModelRoute(labels)) statuses[`${labels.status}`] = (statuses[`${labels.status}`] ?? 0) - value;
  }
  for (const [status, count] of Object.entries(statuses)) if (count <= 0) delete statuses[status];
  const answered = sumOf(Object.values(statuses));
  const succeeded = sumOf(
    Object.entries(statuses).map(([status, count]) => (status.startsWith('2') ? count : 0)),
  );
  const buckets = bucketIncreases(first, last);
  return {
    windowSeconds: (last.at - first.at) / 1000,
    requestsPerSecond: perSecond(first, last, 'er_requests_total', isModelRoute),
    successRate: answered > 0 ? succeeded / answered : null,
    statuses,
    p50Ms: toMs(quantileOf(buckets, 0.5)),
    p95Ms: toMs(quantileOf(buckets, 0.95)),
    p99Ms: toMs(quantileOf(buckets, 0.99)),
    inputsPerSecond: perSecond(first, last, 'er_inputs_total'),
    tokensPerSecond: perSecond(first, last, 'er_tokens_total'),
    cacheHitRate: cacheHitRate(first, last),
    batches: {
      embedding: batchesBetween(first, last, 'embedding'),
      reranker: batchesBetween(first, last, 'reranker'),
    },
    inFlight: sumOf(seriesOf(last, 'er_requests_in_flight').map(({ value }) => value)),
    requestsTotal,
  };
}

/**
 * The value below which this share of the observations lies, by straight lines inside buckets as Prometheus'
 * histogram_quantile does; null without observations. `buckets` are cumulative, in order, the last one unbounded.
 */
export function quantileOf(buckets: { upTo: number; count: number }[], share: number): number | null {
  const total = buckets.at(-1)?.count ?? 0;
  if (total <= 0) return null;
  let below = { upTo: 0, count: 0 };
  for (const bucket of buckets) {
    if (bucket.count >= share * total) {
      if (bucket.upTo === Number.POSITIVE_INFINITY) return below.upTo;
      const part = (share * total - below.count) / Math.max(bucket.count - below.count, 1e-9);
      return below.upTo + (bucket.upTo - below.upTo) * part;
    }
    below = bucket;
  }
  return below.upTo;
}

function cacheHitRate(first: Sample, last: Sample): number | null {
  const increase = (result: string) =>
    increaseOf(first, last, 'er_cache_items_total', ({ labels }) => labels.result === result);
  const hits = increase('hit');
  const all = hits + increase('miss');
  return all > 0 ? hits / all : null;
}

function batchesBetween(first: Sample, last: Sample, model: Role): Traffic['batches'][Role] {
  const increase = (name: 'er_batch_items' | 'er_batch_fill_ratio', suffix: 'sum' | 'count') =>
    increaseOf(
      first,
      last,
      name,
      one => one.metricName === `${name}_${suffix}` && one.labels.model === model,
    );
  const calls = increase('er_batch_items', 'count');
  return {
    calls,
    meanItems: calls > 0 ? increase('er_batch_items', 'sum') / calls : null,
    meanFill: calls > 0 ? increase('er_batch_fill_ratio', 'sum') / calls : null,
  };
}

function bucketIncreases(first: Sample, last: Sample): { upTo: number; count: number }[] {
  const counts = new Map<number, number>();
  const addAll = (sample: Sample, sign: 1 | -1) => {
    for (const { value, labels, metricName } of seriesOf(sample, 'er_request_duration_seconds')) {
      if (metricName !== 'er_request_duration_seconds_bucket' || !isModelRoute(labels)) continue;
      const upTo = labels.le === '+Inf' ? Number.POSITIVE_INFINITY : Number(labels.le);
      counts.set(upTo, (counts.get(upTo) ?? 0) + sign * value);
    }
  };
  addAll(last, 1);
  addAll(first, -1);
  return [...counts].map(([upTo, count]) => ({ upTo, count })).sort((a, b) => a.upTo - b.upTo);
}

type Value = MetricSnapshot['values'][number];

function increaseOf(
  first: Sample,
  last: Sample,
  name: MetricName,
  counts: (value: Value) => boolean,
): number {
  const total = (sample: Sample) => sumOf(seriesOf(sample, name).map(one => (counts(one) ? one.value : 0)));
  return Math.max(0, total(last) - total(first));
}

type Labels = MetricSnapshot['values'][number]['labels'];

const modelRouteNames = new Set<string | number | undefined>(modelRoutes);
const isModelRoute = ({ route }: Labels) => modelRouteNames.has(route);

function perSecond(
  first: Sample,
  last: Sample,
  name: MetricName,
  counts: (labels: Labels) => boolean = () => true,
): number {
  const total = (sample: Sample) =>
    sumOf(seriesOf(sample, name).map(({ value, labels }) => (counts(labels) ? value : 0)));
  const seconds = (last.at - first.at) / 1000;
  return seconds > 0 ? Math.max(0, total(last) - total(first)) / seconds : 0;
}

const seriesOf = ({ metrics }: Sample, name: MetricName) =>
  metrics.find(metric => metric.name === name)?.values ?? [];

const sumOf = (values: number[]) => values.reduce((sum, value) => sum + value, 0);
const toMs = (seconds: number | null) => (seconds === null ? null : seconds * 1000);
