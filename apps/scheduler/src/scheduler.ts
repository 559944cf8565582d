import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import type { Role } from '@er-gateway/shared/config/schema';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { Job, ModelsStatus, ResultOf, RunParams } from '@er-gateway/shared/scheduler-protocol';
import { Admission } from './admission.ts';
import { runEmbedJob } from './jobs/embed.ts';
import { createJobContext } from './jobs/job-context.ts';
import { runScoreJob } from './jobs/score.ts';
import { runDetokenizeJob, runTokenizeJob } from './jobs/tokenize.ts';
import { UpstreamPool } from './upstream/upstream-pool.ts';

export interface SchedulerOptions {
  config: EffectiveConfig;
  /** What the supervisor of a model says of it now. */
  describeProcess: (role: Role) => string | null;
  /** A model became ready, or is no longer. */
  onModelsChange: () => void;
}

/** The only way to the models: takes jobs of all workers, runs them within the cap, returns their results. */
export class Scheduler {
  readonly #pools: Record<Role, UpstreamPool>;
  readonly #admission: Admission;

  constructor({ config, describeProcess, onModelsChange }: SchedulerOptions) {
    const createPool = (role: Role) =>
      new UpstreamPool({
        model: config.models[role],
        describeProcess: () => describeProcess(role),
        onChange: onModelsChange,
      });
    this.#pools = { embedding: createPool('embedding'), reranker: createPool('reranker') };
    this.#admission = new Admission(config.limits.concurrency);
  }

  /** Runs one job. Throws RequestError; an abort of `signal` (the caller left) ends its work upstream too. */
  run<AnyJob extends Job>(params: RunParams<AnyJob>, signal: AbortSignal): Promise<ResultOf<AnyJob>> {
    return this.#admission.run(async () => {
      const remainingMs = Math.ceil(params.deadlineAt - Date.now());
      if (remainingMs <= 0) throw timedOut();
      const deadline = AbortSignal.timeout(remainingMs);
      const context = createJobContext(params.requestId, AbortSignal.any([signal, deadline]));
      try {
        return (await this.#dispatch(params.job, context)) as ResultOf<AnyJob>;
      } catch (error) {
        throw deadline.aborted ? timedOut() : error;
      }
    });
  }

  status(): ModelsStatus {
    return {
      models: { embedding: this.#pools.embedding.status(), reranker: this.#pools.reranker.status() },
      inFlight: this.#admission.inFlight,
      concurrency: this.#admission.capacity,
    };
  }

  async close(): Promise<void> {
    await Promise.all(Object.values(this.#pools).map(pool => pool.close()));
  }

  #dispatch(job: Job, context: ReturnType<typeof createJobContext>) {
    switch (job.kind) {
      case 'embed':
        return runEmbedJob(job, this.#pools.embedding, context);
      case 'score':
        return runScoreJob(job, this.#pools.reranker, context);
      case 'tokenize':
        return runTokenizeJob(job, this.#pools[job.role], context);
      case 'detokenize':
        return runDetokenizeJob(job, this.#pools[job.role], context);
    }
  }
}

const timedOut = () =>
  new RequestError(
    'upstream_timeout',
    'The model did not answer within the time-out (gateway.timeout_seconds). Send less at once, or raise it.',
  );
