import { keyLabel, type MetricDefinition, modelLabels as models } from './metric-definition.ts';

const shares = [0, 0.1, 0.2, 0.35, 0.5, 0.75, 0.999, 1];

/** What callers thought of the answers (`POST /v1/feedback`). The mean of a histogram is its `_sum` over its `_count`. */
export const feedbackDefinitions = {
  er_feedback_reciprocal_rank: {
    type: 'histogram',
    group: 'business',
    owner: 'scheduler',
    help: '1 over the rank of the first relevant document, of each rerank that got feedback; its mean is the MRR.',
    unit: 'ratio',
    labels: { model: models, key: keyLabel },
    aggregator: 'sum',
    buckets: shares,
  },
  er_feedback_ndcg_at_10: {
    type: 'histogram',
    group: 'business',
    owner: 'scheduler',
    help: 'Normalised discounted cumulative gain of the best ten documents, of each rerank that got feedback.',
    unit: 'ratio',
    labels: { model: models, key: keyLabel },
    aggregator: 'sum',
    buckets: shares,
  },
  er_feedback_precision_at_1: {
    type: 'histogram',
    group: 'business',
    owner: 'scheduler',
    help: '1 when the best document was relevant, else 0, of each rerank that got feedback.',
    unit: 'ratio',
    labels: { model: models, key: keyLabel },
    aggregator: 'sum',
    buckets: [0, 1],
  },
  er_feedback_rating: {
    type: 'histogram',
    group: 'business',
    owner: 'scheduler',
    help: 'Ratings of answers, 1 (bad) to 5 (good). Customer satisfaction (CSAT) is the share of 4 and 5.',
    unit: 'rating',
    labels: { model: models, key: keyLabel },
    aggregator: 'sum',
    buckets: [1, 2, 3, 4, 5],
  },
} as const satisfies Record<string, MetricDefinition>;
