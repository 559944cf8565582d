import { AggregatorRegistry, type Registry } from 'prom-client';

/** One metric as prom-client's getMetricsAsJSON gives it. */
export interface MetricSnapshot {
  name: string;
  help: string;
  type: string;
  aggregator: string;
  values: { value: number; labels: Record<string, string | number>; metricName?: string }[];
}

/** What must outlive the monitor, as JSON. */
export interface LedgerState {
  /** Counters and histograms of all processes that are gone, summed. */
  base: MetricSnapshot[];
  /** The last counters and histograms of each process that is not known to be gone. */
  last: [key: string, metrics: MetricSnapshot[]][];
}

/**
 * Adds up the metrics of processes that come and go, so that no counter ever goes back: the last counters of a process
 * that is gone stay in a base, those of one that does not answer stay until it does. Gauges count only while their
 * process answers.
 */
export class CounterLedger {
  #base: MetricSnapshot[];
  readonly #last: Map<string, MetricSnapshot[]>;

  constructor(state: LedgerState = { base: [], last: [] }) {
    this.#base = state.base;
    this.#last = new Map(state.last);
  }

  /** Takes one scrape: the metrics of every process that exists, null for one that did not answer. Returns the sums. */
  async record(scrape: ReadonlyMap<string, MetricSnapshot[] | null>): Promise<Registry> {
    const gone = [...this.#last.keys()].filter(key => !scrape.has(key));
    if (gone.length > 0) {
      const parting = gone.map(key => this.#last.get(key) ?? []);
      for (const key of gone) this.#last.delete(key);
      this.#base = await snapshotOf(AggregatorRegistry.aggregate([...parting, this.#base]));
    }
    for (const [key, metrics] of scrape) if (metrics) this.#last.set(key, countersOf(metrics));
    const present = [...scrape].map(([key, metrics]) => metrics ?? this.#last.get(key) ?? []);
    return AggregatorRegistry.aggregate([...present, this.#base]);
  }

  /** The state to keep for the next monitor. */
  state(): LedgerState {
    return { base: this.#base, last: [...this.#last] };
  }
}

/** The registry's metrics as plain values. */
export async function snapshotOf(registry: Registry): Promise<MetricSnapshot[]> {
  return (await registry.getMetricsAsJSON()) as unknown as MetricSnapshot[];
}

/** A process's answer as metrics; null when it is something else. */
export function parseMetrics(value: unknown): MetricSnapshot[] | null {
  return Array.isArray(value) && value.every(isMetric) ? value : null;
}

function isMetric(value: unknown): value is MetricSnapshot {
  const metric = value as Partial<MetricSnapshot> | null;
  return (
    typeof metric?.name === 'string' &&
    typeof metric.type === 'string' &&
    ['sum', 'max', 'min', 'average', 'first', 'omit'].includes(metric.aggregator ?? '') &&
    Array.isArray(metric.values)
  );
}

const countersOf = (metrics: MetricSnapshot[]) =>
  metrics.filter(({ type }) => type === 'counter' || type === 'histogram');
