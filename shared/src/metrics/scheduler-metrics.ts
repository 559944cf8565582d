import type { Counter, Registry } from 'prom-client';
import { createCounter, createGauge, createHistogram } from './create-metric.ts';

/** What the scheduler counts. */
export type SchedulerMetrics = ReturnType<typeof createSchedulerMetrics>;

/** The metrics of the scheduler, in its registry; what each means stands in scheduler-definitions.ts. Times are seconds. */
export function createSchedulerMetrics(registry: Registry) {
  return {
    rejected: createCounter(registry, 'er_scheduler_rejected_total'),
    batchItems: createHistogram(registry, 'er_batch_items'),
    batchFill: createHistogram(registry, 'er_batch_fill_ratio'),
    cacheItems: createCounter(registry, 'er_cache_items_total'),
    upstreamRequests: createCounter(registry, 'er_upstream_requests_total'),
    upstreamDuration: createHistogram(registry, 'er_upstream_duration_seconds'),
    reciprocalRank: createHistogram(registry, 'er_feedback_reciprocal_rank'),
    ndcgAt10: createHistogram(registry, 'er_feedback_ndcg_at_10'),
    precisionAt1: createHistogram(registry, 'er_feedback_precision_at_1'),
    rating: createHistogram(registry, 'er_feedback_rating'),
  };
}

/** What the scheduler shows of itself at a scrape. */
export interface SchedulerFacts {
  inFlight: number;
  capacity: number;
  cache: { bytes: number; entries: number };
  models: ModelFacts[];
  /** Work done for each key since the start. */
  keys: KeyFacts[];
}

/** One model's queue and servers. */
export interface ModelFacts {
  model: 'embedding' | 'reranker';
  queue: { items: number; tokens: number; ageSeconds: number };
  upstreams: {
    /** host:port */
    upstream: string;
    inFlight: number;
    isReady: boolean;
    isBreakerOpen: boolean;
    breakerOpenings: number;
  }[];
}

/** What was answered to one key by one model. */
export interface KeyFacts {
  model: 'embedding' | 'reranker';
  key: string;
  requests: number;
  inputs: number;
  tokens: number;
}

/** The metrics of the scheduler that are read when somebody looks. */
export function createSchedulerGauges(registry: Registry, look: () => SchedulerFacts): void {
  // A registry asks its metrics in their order: the first one looks, for all of them.
  let facts = look();
  createGauge(registry, 'er_scheduler_in_flight', gauge => {
    facts = look();
    gauge.set(facts.inFlight);
  });
  createGauge(registry, 'er_scheduler_capacity', gauge => gauge.set(facts.capacity));
  createGauge(registry, 'er_cache_bytes', gauge => gauge.set(facts.cache.bytes));
  createGauge(registry, 'er_cache_entries', gauge => gauge.set(facts.cache.entries));

  createGauge(registry, 'er_queue_items', gauge => {
    for (const { model, queue } of facts.models) gauge.set({ model }, queue.items);
  });
  createGauge(registry, 'er_queue_tokens', gauge => {
    for (const { model, queue } of facts.models) gauge.set({ model }, queue.tokens);
  });
  createGauge(registry, 'er_queue_age_seconds', gauge => {
    for (const { model, queue } of facts.models) gauge.set({ model }, queue.ageSeconds);
  });

  const servers = () =>
    facts.models.flatMap(({ model, upstreams }) =>
      upstreams.map(({ upstream, ...server }) => ({ labels: { model, upstream }, ...server })),
    );
  createGauge(registry, 'er_upstream_in_flight', gauge => {
    for (const { labels, inFlight } of servers()) gauge.set(labels, inFlight);
  });
  createGauge(registry, 'er_upstream_ready', gauge => {
    for (const { labels, isReady } of servers()) gauge.set(labels, Number(isReady));
  });
  createGauge(registry, 'er_upstream_breaker_open', gauge => {
    for (const { labels, isBreakerOpen } of servers()) gauge.set(labels, Number(isBreakerOpen));
  });
  createCounter(registry, 'er_upstream_breaker_opened_total', counter => {
    setTotals(counter, servers(), ({ breakerOpenings }) => breakerOpenings);
  });

  const keys = () => facts.keys.map(({ model, key, ...work }) => ({ labels: { model, key }, ...work }));
  createCounter(registry, 'er_key_requests_total', counter =>
    setTotals(counter, keys(), ({ requests }) => requests),
  );
  createCounter(registry, 'er_key_inputs_total', counter =>
    setTotals(counter, keys(), ({ inputs }) => inputs),
  );
  createCounter(registry, 'er_key_tokens_total', counter =>
    setTotals(counter, keys(), ({ tokens }) => tokens),
  );
}

/** Makes a counter show what was counted elsewhere. */
function setTotals<Label extends string, Row extends { labels: Record<Label, string> }>(
  counter: Counter<Label>,
  rows: readonly Row[],
  totalOf: (row: Row) => number,
): void {
  counter.reset();
  for (const row of rows) counter.inc(row.labels, totalOf(row));
}
