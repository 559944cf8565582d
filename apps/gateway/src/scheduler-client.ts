import { RequestError } from '@er-gateway/shared/errors/request-error';
import { FrameClient } from '@er-gateway/shared/frames/frame-client';
import type {
  FeedbackParams,
  FeedbackResult,
  Job,
  ModelsStatus,
  ResultOf,
  RunParams,
} from '@er-gateway/shared/scheduler-protocol';
import type { Exchange } from './request/exchange.ts';

/** How long jobs wait for a scheduler that is away before they are refused, in milliseconds. It restarts in less. */
const patienceMs = 10_000;

/** This worker's line to the scheduler: jobs go out, the models' states come in. */
export class SchedulerClient {
  readonly #frames: FrameClient;
  readonly #timeoutMs: number;
  /** What the scheduler last said of the models; null while it is away. */
  models: ModelsStatus | null = null;

  constructor(socketPath: string, timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
    this.#frames = new FrameClient({
      path: socketPath,
      serverName: 'scheduler',
      unavailable: 'no_available_upstream',
      patienceMs,
    });
    this.#frames.on('push', (topic, value) => {
      if (topic === 'models') this.models = value as ModelsStatus;
    });
    this.#frames.on('down', () => {
      this.models = null;
    });
  }

  /** Runs a job for a request, until its time-out or its client's hang-up. Throws RequestError or ClientGone. */
  run<AnyJob extends Job>(job: AnyJob, exchange: Exchange): Promise<ResultOf<AnyJob>> {
    const timeoutMs = Math.min(this.#timeoutMs, exchange.wishes.timeoutMs ?? Number.POSITIVE_INFINITY);
    const remainingMs = Math.max(0, timeoutMs - exchange.timings.total());
    const params: RunParams<AnyJob> = {
      job,
      requestId: exchange.id,
      keyId: exchange.key?.id ?? '',
      priority: exchange.wishes.priority,
      ...(exchange.key?.weight !== undefined && { weight: exchange.key.weight }),
      ...(exchange.key?.concurrency_share !== undefined && {
        concurrencyShare: exchange.key.concurrency_share,
      }),
      noStore: exchange.wishes.noStore,
      deadlineAt: Math.ceil(Date.now() + remainingMs),
    };
    if (exchange.trace) params.trace = exchange.trace.headers;
    return this.#frames.call('run', params, {
      timeoutMs: remainingMs,
      timeoutError: () =>
        new RequestError(
          'upstream_timeout',
          `The model did not answer within ${timeoutMs / 1000} s. Send less at once, or raise gateway.timeout_seconds (or your X-ER-Timeout-Ms).`,
        ),
      signal: exchange.signal,
    });
  }

  /** Hands on what a caller thinks of an answer. Throws RequestError or ClientGone. */
  takeFeedback(feedback: Omit<FeedbackParams, 'keyId'>, exchange: Exchange): Promise<FeedbackResult> {
    const params: FeedbackParams = { ...feedback, keyId: exchange.key?.id ?? '' };
    return this.#frames.call('feedback', params, { timeoutMs: this.#timeoutMs, signal: exchange.signal });
  }

  close(): void {
    this.#frames.close();
  }
}
