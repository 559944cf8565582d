import type { MetricName } from '@er-gateway/shared/metrics/definitions';
import type { MetricSnapshot } from './counter-ledger.ts';

/** What models have answered to one key. */
export interface Usage {
  requests: number;
  inputs: number;
  tokens: number;
}

/** One key's use of the models. */
export interface KeyUsage {
  /** Id of the key; `other` for all beyond those that are counted apart. */
  key: string;
  /** Since counting began. */
  total: Usage;
  /** In the window of the traffic. */
  recent: Usage;
}

/** The metrics that it is made of. */
export const usageMetrics = [
  'er_key_requests_total',
  'er_key_inputs_total',
  'er_key_tokens_total',
] as const satisfies MetricName[];

/** Most keys that are told of. */
const mostKeys = 100;

/** Every key that used a model, the busiest first. */
export function keyUsageBetween(
  first: readonly MetricSnapshot[],
  last: readonly MetricSnapshot[],
): KeyUsage[] {
  const before = usageOf(first);
  const rows = [...usageOf(last)].map(([key, total]) => {
    const earlier = before.get(key) ?? nothing;
    const recent = {
      requests: total.requests - earlier.requests,
      inputs: total.inputs - earlier.inputs,
      tokens: total.tokens - earlier.tokens,
    };
    return { key, total, recent };
  });
  return rows
    .sort((a, b) => b.recent.tokens - a.recent.tokens || b.total.tokens - a.total.tokens)
    .slice(0, mostKeys);
}

const nothing: Usage = { requests: 0, inputs: 0, tokens: 0 };

/** Usage by key, both models together. */
function usageOf(metrics: readonly MetricSnapshot[]): Map<string, Usage> {
  const usage = new Map<string, Usage>();
  const add = (name: (typeof usageMetrics)[number], field: keyof Usage) => {
    for (const { value, labels } of metrics.find(metric => metric.name === name)?.values ?? []) {
      const row = usage.get(`${labels.key}`) ?? { ...nothing };
      row[field] += value;
      usage.set(`${labels.key}`, row);
    }
  };
  add('er_key_requests_total', 'requests');
  add('er_key_inputs_total', 'inputs');
  add('er_key_tokens_total', 'tokens');
  return usage;
}
