import { setTimeout as delay } from 'node:timers/promises';
import type { EffectiveModel } from '@er-gateway/shared/config/effective-config';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { ModelStatus } from '@er-gateway/shared/scheduler-protocol';
import type { WaitingBatch } from '../batch/pace.ts';
import { Turns } from '../turns.ts';
import { Upstream, type UpstreamOptions } from './upstream.ts';
import { refusalFor, UpstreamFailure } from './upstream-failure.ts';

/** Time between probes of a server that is ready, and of one that is not, in milliseconds. */
const probeReadyMs = 1000;
const probeDownMs = 250;
/** What a caller is told to wait when nobody knows how long it will take, and at least, in milliseconds. */
const unknownRetryAfterMs = 5000;
const leastRetryAfterMs = 1000;

/** What the supervisors of a model say of it while it cannot answer. */
export interface ProcessNote {
  /** One line for people, the same as long as nothing happens but time: `loading: loading weights 1/2`. */
  text: string;
  /** Unix times in milliseconds; null when nobody knows. */
  since: number;
  expectedReadyAt: number | null;
}

export interface UpstreamPoolOptions {
  model: EffectiveModel;
  windowMs: UpstreamOptions['windowMs'];
  canary: UpstreamOptions['canary'];
  /** What the supervisors say of the model while it cannot answer; null when they say nothing. */
  describeProcess: () => ProcessNote | null;
  /** Whether the supervisor of the server at this URL has yet to find that it works, or is stopping it. */
  isOnTrial: (url: string) => boolean;
  /** A server came, went, or is in doubt. */
  onChange: () => void;
}

/** The servers of one model: which can answer, and who gets the next call. */
export class UpstreamPool {
  readonly model: EffectiveModel;
  readonly upstreams: Upstream[];
  readonly #options: UpstreamPoolOptions;
  readonly #stop = new AbortController();
  /** Calls that are no batches under way at once: the batches need the servers' connections and their one thread for texts. */
  readonly #turns = new Turns(2);

  constructor(options: UpstreamPoolOptions) {
    this.#options = options;
    this.model = options.model;
    const { windowMs } = options;
    const canary: UpstreamOptions['canary'] = async (upstream, signal) => {
      if (options.isOnTrial(upstream.url))
        throw new UpstreamFailure('nonsense', 'its supervisor does not call it ready');
      await options.canary(upstream, signal);
    };
    this.upstreams = options.model.upstreams.map(url => new Upstream({ url, windowMs, canary }));
    for (const upstream of this.upstreams) void this.#watch(upstream);
  }

  /** Whether any server can answer now. */
  get isReady(): boolean {
    return this.#available(performance.now()).length > 0;
  }

  /** Servers that can answer now. */
  get availableCount(): number {
    return this.#available(performance.now()).length;
  }

  /** Whether there is nothing to hope for now: every server was asked, and none can answer. One that is being tried may. */
  get isDown(): boolean {
    const now = performance.now();
    const isLost = (upstream: Upstream) => upstream.isKnown && !upstream.isSuspected(now);
    return !this.isReady && this.upstreams.every(isLost);
  }

  /**
   * The server that may get a batch first, and in how many milliseconds (0 now, Infinity not before a call ends); null when
   * none is available. An idle server takes work at once; of several the one with the fewest tokens under way, then the
   * one that was faster of late.
   */
  nextFree(
    now: number,
    slots: number,
    batchFor: (upstream: Upstream) => WaitingBatch,
  ): { upstream: Upstream; waitMs: number } | null {
    let best: { upstream: Upstream; waitMs: number } | null = null;
    for (const upstream of this.#available(now)) {
      const waitMs = upstream.pace.waitMs(now, upstream.callsInLine, slots, batchFor(upstream));
      if (
        best === null ||
        waitMs < best.waitMs ||
        (waitMs === best.waitMs && isBetter(upstream, best.upstream, now))
      ) {
        best = { upstream, waitMs };
      }
    }
    return best;
  }

  /** The server with the least to do of those that can answer, other than `except`; null when there is none. */
  best(except: Upstream | null = null): Upstream | null {
    return this.#bestOf(upstream => upstream !== except);
  }

  /** The same of those that have no call ahead of the line under way. */
  bestAhead(): Upstream | null {
    return this.#bestOf(upstream => !upstream.hasCallAhead);
  }

  #bestOf(mayBe: (upstream: Upstream) => boolean): Upstream | null {
    const now = performance.now();
    const [first = null, ...others] = this.#available(now).filter(mayBe);
    return others.reduce(
      (best, upstream) => (best && isBetter(upstream, best, now) ? upstream : best),
      first,
    );
  }

  /**
   * Runs a call that is no batch (tokenize) on an available server when its turn has come; once more, elsewhere if it can
   * be. Throws RequestError.
   */
  run<T>(signal: AbortSignal, call: (upstream: Upstream) => Promise<T>): Promise<T> {
    return this.#turns.run(signal, () => this.#runNow(signal, call));
  }

  async #runNow<T>(signal: AbortSignal, call: (upstream: Upstream) => Promise<T>): Promise<T> {
    for (let failedOn: Upstream | null = null; ; ) {
      const upstream: Upstream | null = this.best(failedOn) ?? this.best();
      if (upstream === null) throw this.unavailable();
      try {
        return await call(upstream);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        if (!(error instanceof UpstreamFailure)) throw error;
        if (error.isRefusalOfRequest) throw refusalFor(error, this.model.served_name);
        const probed = this.failed(upstream);
        if (failedOn === null && this.best(upstream) === null) await probed;
        if (failedOn === null) {
          failedOn = upstream;
          continue;
        }
        if (!this.isReady) throw this.unavailable();
        throw this.failedTwice(error);
      }
    }
  }

  /**
   * Counts a failure of a server, unless it is of a part of a batch that was counted, and finds out at once whether the
   * server is alive.
   */
  async failed(upstream: Upstream, isPart = false): Promise<void> {
    if (!isPart) upstream.breaker.failed(performance.now());
    await upstream.probe();
    this.#options.onChange();
  }

  /** A call ended with wrong numbers: finds out whether the server is to blame. */
  async doubt(upstream: Upstream): Promise<void> {
    await upstream.doubt();
    this.#options.onChange();
  }

  /** What callers are told while no server can answer. */
  unavailable(): RequestError {
    const readyAt = this.#options.describeProcess()?.expectedReadyAt ?? null;
    const retryAfterMs =
      readyAt === null ? unknownRetryAfterMs : Math.max(leastRetryAfterMs, readyAt - Date.now());
    return new RequestError(
      'no_available_upstream',
      `${this.model.served_name} cannot answer now: ${this.#reason()}. Try again in ${Math.ceil(retryAfterMs / 1000)} s.`,
      { retryAfterMs },
    );
  }

  /** Sends a server nothing more, and resolves when its calls have ended; at once for one that is not ours. */
  async drain(url: string, signal: AbortSignal): Promise<void> {
    const drained = this.upstreams.find(upstream => upstream.url === url)?.drain(signal);
    if (drained === undefined) return;
    this.#options.onChange();
    await drained;
    this.#options.onChange();
  }

  /** What callers are told when two calls failed though the server is alive. */
  failedTwice(cause: UpstreamFailure): RequestError {
    return new RequestError(
      'upstream_failed',
      `The model server of ${this.model.served_name} failed on this request, twice. Try again; its log has the cause.`,
      { cause },
    );
  }

  /** Longest input in tokens: what the server says, or the configuration while it has not said. */
  get maxInputTokens(): number {
    return this.#seen()?.model?.maxModelLen ?? this.model.max_model_len;
  }

  /** Who answers, for results. */
  identity(): { model: string; engine: string } {
    const builtinModel = this.#seen()?.model?.builtinModel ?? null;
    return {
      model: builtinModel ?? this.#seen()?.model?.id ?? this.model.served_name,
      engine: builtinModel === null ? this.model.engine : `builtin ${builtinModel}`,
    };
  }

  status(): ModelStatus {
    const now = performance.now();
    const [ready] = this.#available(now);
    const seen = this.#seen();
    const note = ready ? null : this.#options.describeProcess();
    const { engine, role, served_name: servedName } = this.model;
    const identity = this.identity();
    return {
      role,
      servedName,
      engine,
      modelName: seen ? identity.model : null,
      engineLabel: identity.engine,
      isReady: ready !== undefined,
      reason: ready ? null : this.#reason(),
      unreadySince: note?.since ?? null,
      expectedReadyAt: note?.expectedReadyAt ?? null,
      maxModelLen: seen?.model?.maxModelLen ?? null,
      upstreams: this.upstreams.map(upstream => ({
        url: upstream.url,
        isReady: upstream.isAvailable(now),
        reason: reasonOf(upstream),
        isBreakerOpen: upstream.breaker.needsTrial,
        inFlight: upstream.calls,
        outstandingTokens: upstream.outstandingTokens,
        latencyMs: upstream.latencyMs,
        ...upstream.recent.summary(now),
      })),
    };
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.upstreams.map(upstream => upstream.close()));
  }

  /** A server whose word on the model counts: one that is ready, else one that was. */
  #seen(): Upstream | undefined {
    return (
      this.upstreams.find(upstream => upstream.isReady) ??
      this.upstreams.find(upstream => upstream.model !== null)
    );
  }

  #available(now: number): Upstream[] {
    return this.upstreams.filter(upstream => upstream.isAvailable(now));
  }

  #reason(): string {
    const reasons = this.upstreams.map(reasonOf).filter(reason => reason !== null);
    return this.#options.describeProcess()?.text ?? reasons[0] ?? 'its server is being tried';
  }

  async #watch(upstream: Upstream): Promise<void> {
    await null; // whoever makes this pool has it before it is told of a change
    const seen = () => `${upstream.isAvailable(performance.now())} ${reasonOf(upstream)}`;
    const stepOf = () =>
      upstream.isAvailable(performance.now()) ? null : (this.#options.describeProcess()?.text ?? null);
    let lastSeen = seen();
    let lastStep: string | null = null;
    const tell = () => {
      const [now, step] = [seen(), stepOf()];
      if (now !== lastSeen || step !== lastStep) this.#options.onChange();
      lastSeen = now;
      lastStep = step;
    };
    while (!this.#stop.signal.aborted) {
      tell(); // a canary may take long
      await upstream.probe();
      tell();
      const pause = upstream.isAvailable(performance.now()) ? probeReadyMs : probeDownMs;
      await delay(pause, null, { signal: this.#stop.signal, ref: false }).catch(() => {});
    }
  }
}

const reasonOf = (upstream: Upstream): string | null => {
  if (upstream.reason !== null) return upstream.reason;
  if (upstream.isDraining) return 'was told to stop';
  if (upstream.breaker.needsTrial) return 'failed too often, waiting for a trial';
  return upstream.isSuspected(performance.now()) ? 'answers no call, is being tried' : null;
};

/** Fewer tokens under way, then lower latency of late. */
function isBetter(one: Upstream, other: Upstream, now: number): boolean {
  const difference = one.weighedLoad(now) - other.weighedLoad(now);
  return difference < 0 || (difference === 0 && one.latencyMs < other.latencyMs);
}
