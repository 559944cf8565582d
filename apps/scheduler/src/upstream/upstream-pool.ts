import { setTimeout as delay } from 'node:timers/promises';
import type { EffectiveModel } from '@er-gateway/shared/config/effective-config';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { ModelStatus } from '@er-gateway/shared/scheduler-protocol';
import { Upstream } from './upstream.ts';
import { UpstreamFailure } from './upstream-failure.ts';

/** Time between probes of a server that is ready, and of one that is not, in milliseconds. */
const probeReadyMs = 2000;
const probeDownMs = 250;
/** What a caller is told to wait while a model loads, in milliseconds. */
const loadingRetryAfterMs = 5000;

export interface UpstreamPoolOptions {
  model: EffectiveModel;
  /** What the supervisor says of the model now (`loading: …`), for people; null when it says nothing. */
  describeProcess: () => string | null;
  onChange: () => void;
}

/** The servers of one model: which can answer, who gets the next call, and what happens when a call fails. */
export class UpstreamPool {
  readonly model: EffectiveModel;
  readonly upstreams: Upstream[];
  readonly #options: UpstreamPoolOptions;
  readonly #stop = new AbortController();

  constructor(options: UpstreamPoolOptions) {
    this.#options = options;
    this.model = options.model;
    this.upstreams = options.model.upstreams.map(url => new Upstream(url));
    for (const upstream of this.upstreams) void this.#watch(upstream);
  }

  /**
   * Runs a call on a server that can answer; when that one fails, once more on the best one then (embedding and scoring
   * are pure, so a replay is safe). Throws RequestError: 400 when the server refuses the request itself, 503 when no
   * server is left, 502 when the second one failed too though it is alive.
   */
  async run<T>(signal: AbortSignal, call: (upstream: Upstream, served: string) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const upstream = this.#choose();
      try {
        return await call(upstream, upstream.model?.id ?? this.model.served_name);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        if (!(error instanceof UpstreamFailure)) throw error;
        if (error.isRefusalOfRequest) throw refusal(error, this.model.served_name);
        await upstream.probe();
        this.#options.onChange();
        if (attempt === 1) continue;
        this.#choose(); // none left: 503, the model is down
        throw new RequestError(
          'upstream_failed',
          `The model server of ${this.model.served_name} failed on this request, twice. Try again; its log has the cause.`,
          { cause: error },
        );
      }
    }
  }

  status(): ModelStatus {
    const ready = this.upstreams.find(upstream => upstream.isReady);
    const seen = ready ?? this.upstreams.find(upstream => upstream.model !== null);
    const { engine, role, served_name: servedName } = this.model;
    const builtinModel = seen?.model?.builtinModel ?? null;
    return {
      role,
      servedName,
      engine,
      modelName: builtinModel ?? seen?.model?.id ?? null,
      engineLabel: builtinModel === null ? engine : `builtin ${builtinModel}`,
      isReady: ready !== undefined,
      reason: ready ? null : this.#reason(),
      maxModelLen: seen?.model?.maxModelLen ?? null,
      upstreams: this.upstreams.map(({ url, isReady, reason, inFlight }) => ({
        url,
        isReady,
        reason,
        inFlight,
      })),
    };
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.upstreams.map(upstream => upstream.close()));
  }

  /** Available = ready; of those the one with the fewest calls under way. */
  #choose(): Upstream {
    const ready = this.upstreams.filter(upstream => upstream.isReady);
    const [first, ...others] = ready;
    if (!first) {
      throw new RequestError(
        'no_available_upstream',
        `${this.model.served_name} cannot answer now: ${this.#reason()}. Try again in ${loadingRetryAfterMs / 1000} s.`,
        { retryAfterMs: loadingRetryAfterMs },
      );
    }
    return others.reduce((best, upstream) => (upstream.inFlight < best.inFlight ? upstream : best), first);
  }

  #reason(): string {
    return this.#options.describeProcess() ?? this.upstreams[0]?.reason ?? 'no model server is configured';
  }

  async #watch(upstream: Upstream): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const before = `${upstream.isReady} ${upstream.reason}`;
      await upstream.probe();
      if (before !== `${upstream.isReady} ${upstream.reason}`) this.#options.onChange();
      const pause = upstream.isReady ? probeReadyMs : probeDownMs;
      await delay(pause, null, { signal: this.#stop.signal, ref: false }).catch(() => {});
    }
  }
}

/** A server's 4xx in our words: only what we can vouch for, never its text when that may quote the input. */
function refusal(failure: UpstreamFailure, servedName: string): RequestError {
  const tooLong = /maximum context length is (\d+) tokens/.exec(failure.serverMessage);
  if (tooLong) {
    return new RequestError(
      'invalid_request',
      `An input is too long: ${servedName} takes at most ${tooLong[1]} tokens an input. Shorten it or split it.`,
      { cause: failure, param: 'input' },
    );
  }
  if (failure.status === 404) {
    return new RequestError('upstream_failed', `The model server of ${servedName} does not offer this.`, {
      cause: failure,
    });
  }
  const words = failure.serverType === 'BadRequestError' ? `: ${failure.serverMessage.slice(0, 300)}` : '.';
  return new RequestError('invalid_request', `The model refused the request${words}`, { cause: failure });
}
