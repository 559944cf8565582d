import type { MetricName } from '@er-gateway/shared/metrics/definitions';
import type { MetricSnapshot } from './counter-ledger.ts';

/** How far back a day's and an hour's quality look, and the time between two samples, in milliseconds. */
const dayMs = 86_400_000;
const hourMs = 3_600_000;
const sampleEveryMs = 600_000;
/** A rating from here on is a satisfied caller's. */
const satisfiedFrom = 4;

/** What callers thought of the answers of one model to one key; `key` null is all keys together. Shares are 0 to 1. */
export interface FeedbackQuality {
  model: string;
  key: string | null;
  /** Reranks whose relevant documents were told, and the means of their quality; null without any. */
  judged: number;
  mrr: number | null;
  ndcgAt10: number | null;
  precisionAt1: number | null;
  /** Ratings, their mean (1 to 5), and customer satisfaction: the share of 4 and 5; null without any. */
  ratings: number;
  meanRating: number | null;
  csat: number | null;
}

/** Feedback of three spans. Those of the last hour and day begin with the monitor when it is younger, and end 10 minutes early at most. */
export interface FeedbackReport {
  lastHour: FeedbackQuality[];
  lastDay: FeedbackQuality[];
  /** Since counting began. */
  total: FeedbackQuality[];
}

/** Sums of one model and key. */
interface Sums {
  judged: number;
  reciprocalRanks: number;
  ndcgs: number;
  firsts: number;
  ratings: number;
  ratingSum: number;
  satisfied: number;
}

type Totals = Map<string, Sums>;

/** Remembers the sums of a day. */
export interface FeedbackHistory {
  add: (sample: { at: number; metrics: MetricSnapshot[] }) => void;
  report: () => FeedbackReport;
}

/** A history without samples yet. */
export function createFeedbackHistory(): FeedbackHistory {
  let kept: { at: number; totals: Totals }[] = [];
  let latest: { at: number; totals: Totals } | null = null;
  return {
    add: ({ at, metrics }) => {
      latest = { at, totals: totalsOf(metrics) };
      if (at - (kept.at(-1)?.at ?? Number.NEGATIVE_INFINITY) < sampleEveryMs) return;
      kept = [...kept.filter(sample => at - sample.at <= dayMs), latest];
    },
    report: () => {
      if (latest === null) return { lastHour: [], lastDay: [], total: [] };
      const { at, totals } = latest;
      const since = (ms: number) => kept.find(sample => at - sample.at <= ms)?.totals ?? totals;
      return {
        lastHour: qualities(totals, since(hourMs)),
        lastDay: qualities(totals, since(dayMs)),
        total: qualities(totals, new Map()),
      };
    },
  };
}

/** Rows of what was added between two moments: each model and key, and each model alone. */
function qualities(now: Totals, before: Totals): FeedbackQuality[] {
  const rows = [...now].map(([name, sums]) => {
    const [model = '', key = ''] = name.split('\n');
    return { model, key, sums: combine(sums, before.get(name) ?? zero, -1) };
  });
  const byModel = new Map<string, Sums>();
  for (const { model, sums } of rows) byModel.set(model, combine(sums, byModel.get(model) ?? zero, 1));
  return [
    ...[...byModel].map(([model, sums]) => qualityOf(model, null, sums)),
    ...rows.map(({ model, key, sums }) => qualityOf(model, key, sums)),
  ].filter(({ judged, ratings }) => judged + ratings > 0);
}

function qualityOf(model: string, key: string | null, sums: Sums): FeedbackQuality {
  const { judged, ratings } = sums;
  const mean = (sum: number, count: number) => (count > 0 ? sum / count : null);
  return {
    model,
    key,
    judged,
    mrr: mean(sums.reciprocalRanks, judged),
    ndcgAt10: mean(sums.ndcgs, judged),
    precisionAt1: mean(sums.firsts, judged),
    ratings,
    meanRating: mean(sums.ratingSum, ratings),
    csat: mean(sums.satisfied, ratings),
  };
}

const zero: Sums = {
  judged: 0,
  reciprocalRanks: 0,
  ndcgs: 0,
  firsts: 0,
  ratings: 0,
  ratingSum: 0,
  satisfied: 0,
};

const combine = (one: Sums, other: Sums, sign: 1 | -1): Sums =>
  Object.fromEntries(
    Object.entries(one).map(([name, value]) => [name, value + sign * other[name as keyof Sums]]),
  ) as unknown as Sums;

function totalsOf(metrics: MetricSnapshot[]): Totals {
  const totals: Totals = new Map();
  const add = (name: MetricName, suffix: string, field: keyof Sums, le?: number, sign = 1) => {
    const values = metrics.find(metric => metric.name === name)?.values ?? [];
    for (const { value, labels, metricName } of values) {
      if (metricName !== `${name}_${suffix}` || (le !== undefined && Number(labels.le) !== le)) continue;
      const row = `${labels.model}\n${labels.key}`;
      const sums = totals.get(row) ?? { ...zero };
      sums[field] += sign * value;
      totals.set(row, sums);
    }
  };
  add('er_feedback_reciprocal_rank', 'count', 'judged');
  add('er_feedback_reciprocal_rank', 'sum', 'reciprocalRanks');
  add('er_feedback_ndcg_at_10', 'sum', 'ndcgs');
  add('er_feedback_precision_at_1', 'sum', 'firsts');
  add('er_feedback_rating', 'count', 'ratings');
  add('er_feedback_rating', 'sum', 'ratingSum');
  add('er_feedback_rating', 'count', 'satisfied');
  add('er_feedback_rating', 'bucket', 'satisfied', satisfiedFrom - 1, -1);
  return totals;
}
