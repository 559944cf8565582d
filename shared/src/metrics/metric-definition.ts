/** The questions that a metric answers: is the machine well, is the service well, is it of use. */
export const metricGroups = ['system', 'application', 'business'] as const;

/** One metric: everything that code and documentation say of it. */
export interface MetricDefinition {
  type: 'counter' | 'gauge' | 'histogram';
  group: (typeof metricGroups)[number];
  /** Which processes have it. */
  owner: 'gateway' | 'scheduler' | 'supervisor' | 'monitor' | 'every process';
  help: string;
  unit:
    | 'requests'
    | 'connections'
    | 'seconds'
    | 'inputs'
    | 'tokens'
    | 'calls'
    | 'bytes'
    | 'ratio'
    | 'processes'
    | 'starts'
    | 'items'
    | 'answers'
    | 'rating'
    | 'celsius'
    | 'watts'
    | 'boolean';
  /** Label names with their closed set of values, or with words that say what bounds it. */
  labels: Record<string, readonly string[] | string>;
  /** How one number is made of those of all processes. */
  aggregator: 'sum' | 'max';
  /** Upper bounds of a histogram's buckets, in its unit. */
  buckets?: readonly number[];
}

/** Values of the label `model`: what a model is for, and not its name, which the configuration may change. */
export const modelLabels = ['embedding', 'reranker'] as const;
/** What bounds the label `key`. */
export const keyLabel = 'id of an API key, as in the audit trail; `other` beyond 1,000 keys';
