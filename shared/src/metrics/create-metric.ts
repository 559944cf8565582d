import { Counter, Gauge, type Registry } from 'prom-client';
import { type MetricName, metricDefinitions } from './definitions.ts';
import { HistogramFamily } from './histogram-family.ts';
import type { MetricDefinition } from './metric-definition.ts';

type NamesOf<Type extends MetricDefinition['type']> = {
  [Name in MetricName]: (typeof metricDefinitions)[Name]['type'] extends Type ? Name : never;
}[MetricName];
type LabelsOf<Name extends MetricName> = Extract<keyof (typeof metricDefinitions)[Name]['labels'], string>;

/** The defined counter, in this registry. Series whose labels are closed sets start at 0, so that rates see the first event. */
export function createCounter<Name extends NamesOf<'counter'>>(
  registry: Registry,
  name: Name,
  collect?: (counter: Counter<LabelsOf<Name>>) => void | Promise<void>,
): Counter<LabelsOf<Name>> {
  const counter: Counter<LabelsOf<Name>> = new Counter({
    ...commonOf(registry, name),
    ...(collect && { collect: () => collect(counter) }),
  });
  for (const labels of closedLabelSets(metricDefinitions[name])) counter.inc(labels, 0);
  return counter;
}

/** The defined gauge, in this registry; `collect` sets it at each scrape. */
export function createGauge<Name extends NamesOf<'gauge'>>(
  registry: Registry,
  name: Name,
  collect?: (gauge: Gauge<LabelsOf<Name>>) => void | Promise<void>,
): Gauge<LabelsOf<Name>> {
  const gauge: Gauge<LabelsOf<Name>> = new Gauge({
    ...commonOf(registry, name),
    aggregator: metricDefinitions[name].aggregator,
    ...(collect && { collect: () => collect(gauge) }),
  });
  return gauge;
}

/** The defined histogram, in this registry. A series appears with its first observation. */
export function createHistogram<Name extends NamesOf<'histogram'>>(
  registry: Registry,
  name: Name,
): HistogramFamily<LabelsOf<Name>> {
  const { help, buckets } = metricDefinitions[name];
  return new HistogramFamily(registry, { name, help, buckets });
}

function commonOf<Name extends MetricName>(registry: Registry, name: Name) {
  const { help, labels } = metricDefinitions[name];
  return { name, help, labelNames: Object.keys(labels) as LabelsOf<Name>[], registers: [registry] };
}

/** Every combination of label values when all of them are listed; else none. */
function closedLabelSets({ labels }: MetricDefinition): Record<string, string>[] {
  let sets: Record<string, string>[] = [{}];
  for (const [name, values] of Object.entries(labels)) {
    if (typeof values === 'string') return [];
    sets = sets.flatMap(set => values.map(value => ({ ...set, [name]: value })));
  }
  return sets;
}
