import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import { type Role, roles } from '@er-gateway/shared/config/schema';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { Logger } from '@er-gateway/shared/logger';
import type { SchedulerFacts, SchedulerMetrics } from '@er-gateway/shared/metrics/scheduler-metrics';
import type {
  DrainParams,
  FeedbackParams,
  FeedbackResult,
  Job,
  LaneStatus,
  ModelsStatus,
  ResultOf,
  RunParams,
  SchedulerInspection,
} from '@er-gateway/shared/scheduler-protocol';
import { Admission } from './admission.ts';
import { ItemCache } from './cache/item-cache.ts';
import { AnsweredRequests } from './feedback/answered-requests.ts';
import { FeedbackDesk } from './feedback/feedback-desk.ts';
import type { JobContext } from './job-context.ts';
import { runEmbedJob } from './jobs/embed.ts';
import { runScoreJob } from './jobs/score.ts';
import { runDetokenizeJob, runTokenizeJob } from './jobs/tokenize.ts';
import { KeyLabels } from './key-labels.ts';
import { KeyUsage } from './key-usage.ts';
import { openServedModel, type ServedModel } from './served-model.ts';
import type { ProcessNote } from './upstream/upstream-pool.ts';

export interface SchedulerOptions {
  config: EffectiveConfig;
  metrics: SchedulerMetrics;
  logger: Logger;
  /** What the supervisors of a model say of it while it cannot answer. */
  describeProcess: (role: Role) => ProcessNote | null;
  /** Whether the supervisor of a model's server at this URL has yet to find that it works. */
  isOnTrial: (role: Role, url: string) => boolean;
  /** A model became ready, or is no longer. */
  onModelsChange: () => void;
}

/** The only way to the models: takes jobs of all workers, runs them within the cap, returns their results. */
export class Scheduler {
  readonly #models: Record<Role, ServedModel>;
  readonly #admission: Admission;
  readonly #cache: ItemCache;
  readonly #metrics: SchedulerMetrics;
  readonly #usage: KeyUsage;
  readonly #answered: AnsweredRequests;
  readonly #feedback: FeedbackDesk;

  private constructor(
    models: Record<Role, ServedModel>,
    admission: Admission,
    cache: ItemCache,
    metrics: SchedulerMetrics,
    answered: AnsweredRequests,
  ) {
    const labels = new KeyLabels();
    this.#usage = new KeyUsage(labels);
    this.#answered = answered;
    this.#feedback = new FeedbackDesk({ answered, metrics, labels });
    this.#metrics = metrics;
    this.#models = models;
    this.#admission = admission;
    this.#cache = cache;
  }

  /** Resolves when jobs can be taken; whether the models can answer shows later. */
  static async open({
    metrics,
    config,
    logger,
    describeProcess,
    isOnTrial,
    onModelsChange,
  }: SchedulerOptions): Promise<Scheduler> {
    const cache = new ItemCache(config.cache.max_bytes);
    const open = (role: Role) =>
      openServedModel({
        config,
        model: config.models[role],
        cache,
        metrics,
        logger,
        describeProcess: () => describeProcess(role),
        isOnTrial: url => isOnTrial(role, url),
        onChange: onModelsChange,
      });
    const [embedding, reranker] = await Promise.all([open('embedding'), open('reranker')]);
    return new Scheduler(
      { embedding, reranker },
      new Admission(config.limits.concurrency, () =>
        Math.max(embedding.lane.batcher.drainMs(), reranker.lane.batcher.drainMs()),
      ),
      cache,
      metrics,
      new AnsweredRequests(config.feedback.max_bytes, config.feedback.keep_seconds),
    );
  }

  /**
   * Runs one job; `isRepeated` when a predecessor of this process has taken it on already. Throws RequestError; an abort of
   * `signal` (the caller left) ends its work upstream too.
   */
  async run<AnyJob extends Job>(
    params: RunParams<AnyJob>,
    signal: AbortSignal,
    isRepeated = false,
  ): Promise<ResultOf<AnyJob>> {
    const { keyId, concurrencyShare } = params;
    try {
      const result = await this.#admission.run({ keyId, concurrencyShare, isAdmitted: isRepeated }, () =>
        this.#runWithDeadline(params, signal),
      );
      this.#usage.add(params.job, params.keyId, result.promptTokens);
      this.#answered.remember(params.job, result, params.keyId, params.requestId);
      return result;
    } catch (error) {
      const reason = signal.aborted ? 'cancelled' : rejectionReason(error);
      if (reason) this.#metrics.rejected.inc({ reason });
      throw error;
    }
  }

  /** Takes what a caller thinks of an answer. Throws RequestError. */
  async takeFeedback(params: FeedbackParams): Promise<FeedbackResult> {
    return this.#feedback.take(params);
  }

  async #runWithDeadline<AnyJob extends Job>(
    params: RunParams<AnyJob>,
    signal: AbortSignal,
  ): Promise<ResultOf<AnyJob>> {
    const deadline = new AbortController();
    const expire = () => deadline.abort(timedOut());
    const remainingMs = params.deadlineAt - Date.now();
    if (remainingMs <= 0) throw timedOut();
    const timer = setTimeout(expire, remainingMs);
    const leave = () => deadline.abort(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
    try {
      const { requestId, keyId, priority, weight = 1, noStore, deadlineAt, trace } = params;
      const arrivedAt = performance.now();
      const context = {
        requestId,
        keyId,
        priority,
        weight,
        noStore,
        deadlineAt,
        arrivedAt,
        trace,
        signal: deadline.signal,
      };
      return (await this.#dispatch(params.job, context)) as ResultOf<AnyJob>;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', leave);
    }
  }

  /** Sends a model server nothing more, and resolves when its calls have ended. */
  async drain({ url }: DrainParams, signal: AbortSignal): Promise<void> {
    await Promise.all(Object.values(this.#models).map(({ lane }) => lane.pool.drain(url, signal)));
  }

  /** What workers need to know of the models. */
  status(): ModelsStatus {
    return {
      models: {
        embedding: this.#models.embedding.lane.pool.status(),
        reranker: this.#models.reranker.lane.pool.status(),
      },
      inFlight: this.#admission.inFlight,
      concurrency: this.#admission.capacity,
    };
  }

  /** What its metrics are made of. */
  facts(): SchedulerFacts {
    const now = performance.now();
    return {
      inFlight: this.#admission.inFlight,
      capacity: this.#admission.capacity,
      cache: { bytes: this.#cache.bytes, entries: this.#cache.entries },
      models: roles.map(model => {
        const { queue } = this.#models[model].lane.batcher;
        return {
          model,
          queue: { items: queue.size, tokens: queue.tokens, ageSeconds: queue.ageMs(now) / 1000 },
          upstreams: this.#models[model].lane.pool.upstreams.map(upstream => ({
            upstream: new URL(upstream.url).host,
            inFlight: upstream.calls,
            isReady: upstream.isAvailable(now),
            isBreakerOpen: upstream.breaker.needsTrial,
            breakerOpenings: upstream.breaker.openings,
          })),
        };
      }),
      keys: this.#usage.rows(),
    };
  }

  /** Everything that there is to see, for operators. */
  inspect(): SchedulerInspection {
    const describe = ({ lane, tokenizes }: ServedModel): LaneStatus => ({
      tokenizes,
      ...lane.batcher.report(),
      oldestWaitMs: lane.batcher.queue.ageMs(performance.now()),
      queue: lane.batcher.queue.inspect(),
    });
    return {
      ...this.status(),
      lanes: { embedding: describe(this.#models.embedding), reranker: describe(this.#models.reranker) },
      cache: { bytes: this.#cache.bytes, entries: this.#cache.entries },
    };
  }

  async close(): Promise<void> {
    await Promise.all(Object.values(this.#models).map(model => model.close()));
  }

  #dispatch(job: Job, context: JobContext) {
    switch (job.kind) {
      case 'embed':
        return runEmbedJob(job, this.#models.embedding, context);
      case 'score':
        return runScoreJob(job, this.#models.reranker, context);
      case 'tokenize':
        return runTokenizeJob(job, this.#models[job.role], context);
      case 'detokenize':
        return runDetokenizeJob(job, this.#models[job.role], context);
    }
  }
}

const timedOut = () =>
  new RequestError(
    'upstream_timeout',
    'The model did not answer within the time-out (gateway.timeout_seconds, or X-ER-Timeout-Ms). Send less at once, or raise it.',
  );

/** Why a job was refused, in the words of the metric; undefined when a model failed on it. */
function rejectionReason(error: unknown): 'overloaded' | 'no_available_upstream' | 'expired' | undefined {
  if (!(error instanceof RequestError)) return undefined;
  if (error.code === 'upstream_timeout') return 'expired';
  return error.code === 'overloaded' || error.code === 'no_available_upstream' ? error.code : undefined;
}
