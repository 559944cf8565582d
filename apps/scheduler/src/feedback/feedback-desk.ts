import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { SchedulerMetrics } from '@er-gateway/shared/metrics/scheduler-metrics';
import type { FeedbackParams, FeedbackResult, RankingQuality } from '@er-gateway/shared/scheduler-protocol';
import type { KeyLabels } from '../key-labels.ts';
import type { AnsweredRequest, AnsweredRequests } from './answered-requests.ts';
import { rankingOf, rankingQuality } from './ranking-quality.ts';

export interface FeedbackDeskOptions {
  answered: AnsweredRequests;
  metrics: SchedulerMetrics;
  labels: KeyLabels;
}

/** Takes what callers think of answers and counts it, by model and key. Each request counts once, so that it is safe to repeat. */
export class FeedbackDesk {
  readonly #options: FeedbackDeskOptions;

  constructor(options: FeedbackDeskOptions) {
    this.#options = options;
  }

  /** Throws RequestError `not_found` for a request that is not remembered, `invalid_request` for what cannot be meant. */
  take({ keyId, requestId, relevant, rating, ranking }: FeedbackParams): FeedbackResult {
    const answered = this.#find(keyId, requestId, ranking);
    const scores = answered.isTold ? scoresOf(ranking) : answered.scores;
    if (answered.isTold && scores === null && relevant !== null) throw notRemembered();
    const quality = relevant && qualityOf({ ...answered, scores }, relevant);
    const { metrics, labels: keys } = this.#options;
    const labels = { model: answered.model, key: keys.of(keyId) };
    let isCounted = false;
    if (quality && !answered.isJudged) {
      metrics.reciprocalRank.observe(labels, quality.reciprocalRank);
      metrics.ndcgAt10.observe(labels, quality.ndcgAt10);
      metrics.precisionAt1.observe(labels, quality.precisionAt1);
      answered.isJudged = true;
      isCounted = true;
    }
    if (rating !== null && !answered.isRated) {
      metrics.rating.observe(labels, rating);
      answered.isRated = true;
      isCounted = true;
    }
    return { model: answered.model, quality, isCounted };
  }

  /** The request by what is remembered, else by the ranking that the caller has kept. */
  #find(keyId: string, requestId: string, ranking: readonly number[] | null): AnsweredRequest {
    const { answered } = this.#options;
    const known = answered.find(keyId, requestId);
    if (known) return known;
    if (ranking === null) throw notRemembered();
    const told: AnsweredRequest = {
      model: 'reranker',
      scores: null,
      isJudged: false,
      isRated: false,
      isTold: true,
    };
    answered.add(keyId, requestId, told);
    return told;
  }
}

const notRemembered = () =>
  new RequestError(
    'not_found',
    'No answer to this key with this request id is remembered here. Send feedback soon after the answer (feedback.keep_seconds, feedback.max_bytes), or send `ranking` with it: the indexes of the documents, the best first.',
    { param: 'request_id' },
  );

/** Scores that come to this ranking. */
function scoresOf(ranking: readonly number[] | null): number[] | null {
  if (ranking === null) return null;
  const scores = new Array<number>(ranking.length);
  ranking.forEach((index, place) => {
    scores[index] = -place;
  });
  return scores;
}

function qualityOf({ model, scores }: AnsweredRequest, relevant: readonly number[]): RankingQuality {
  if (scores === null) {
    const what = model === 'embedding' ? 'made embeddings' : 'scored pairs of several queries';
    throw new RequestError(
      'invalid_request',
      `This request ${what} and ranked nothing: only a rating can be given.`,
      { param: 'relevant' },
    );
  }
  const wrong = relevant.findIndex(index => index >= scores.length);
  if (wrong >= 0) {
    throw new RequestError(
      'invalid_request',
      `relevant[${wrong}] is ${relevant[wrong]}, but the request had ${scores.length} documents; indexes begin with 0.`,
      { param: `relevant[${wrong}]` },
    );
  }
  return rankingQuality(rankingOf(scores), new Set(relevant));
}
