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
 * Fractions are kept in steps of 2^-20 (a microsecond). Sums of such numbers are exact up to 2^33, so it makes no difference in
 * which order they are made: else a sum could fall by its last bit when a process moves to the base.
 */
const stepsOfOne = 2 ** 20;

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

  /**
   * Takes one scrape: the metrics of every process that exists, null for one that did not answer; and the last counts that
   * processes left when they ended. These may be told again and count once, until they are told no more. Returns the sums.
   */
  async record(
    scrape: ReadonlyMap<string, MetricSnapshot[] | null>,
    ended: ReadonlyMap<string, MetricSnapshot[]> = new Map(),
  ): Promise<Registry> {
    for (const [key, metrics] of scrape) if (metrics) this.#last.set(key, countersOf(metrics));
    // After the scrape: who answered it early may have ended since.
    for (const [key, metrics] of ended) this.#last.set(key, countersOf(metrics));
    const gone = [...this.#last.keys()].filter(key => !scrape.has(key) && !ended.has(key));
    if (gone.length > 0) {
      const counts = gone.map(key => this.#last.get(key) ?? []);
      for (const key of gone) this.#last.delete(key);
      this.#base = await snapshotOf(AggregatorRegistry.aggregate([...counts, this.#base]));
    }
    const parting = [...ended.keys()].filter(key => !scrape.has(key)).map(key => this.#last.get(key) ?? []);
    const present = [...scrape].map(([key, metrics]) => [
      ...(metrics ?? []).filter(metric => !isCounted(metric)),
      ...(this.#last.get(key) ?? []),
    ]);
    return AggregatorRegistry.aggregate([...present, ...parting, this.#base]);
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

const isCounted = ({ type }: MetricSnapshot) => type === 'counter' || type === 'histogram';

/** Counters and histograms with values that can be added up exactly, in any order. */
const countersOf = (metrics: MetricSnapshot[]) =>
  metrics.filter(isCounted).map(metric => ({
    ...metric,
    values: metric.values.map(one => ({ ...one, value: Math.round(one.value * stepsOfOne) / stepsOfOne })),
  }));
