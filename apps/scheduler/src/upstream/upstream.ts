import { once } from 'node:events';
import type { TraceHeaders } from '@er-gateway/shared/scheduler-protocol';
import type { Pool } from 'undici';
import { Pace } from '../batch/pace.ts';
import { Breaker } from './breaker.ts';
import { RecentCalls } from './recent-calls.ts';
import { Silence } from './silence.ts';
import { UpstreamFailure } from './upstream-failure.ts';
import { createPool, request } from './upstream-request.ts';

/** What a model server says of itself on /v1/models. */
export interface ServerFacts {
  /** Name to send as `model`. */
  id: string;
  maxModelLen: number | null;
  /** Real model behind the name; only our built-in engine says so. */
  builtinModel: string | null;
}

export interface UpstreamOptions {
  url: string;
  /** Fixed window in milliseconds; null lets it follow what is measured. */
  windowMs: number | null;
  /** A real inference that must come out right before traffic is sent; may learn the server's `dimensions`. Throws UpstreamFailure. */
  canary: (upstream: Upstream, signal: AbortSignal) => Promise<void>;
}

/** Longest wait for /health and /v1/models, in milliseconds: a busy vLLM answers them late. */
const probeTimeoutMs = 5000;
/** Longest wait for the canary: the first inference after a start may compile kernels. */
const canaryTimeoutMs = 120_000;
/**
 * A server is suspected when it has answered nothing for this long in milliseconds, and for so many of its usual calls. The
 * canary of one that serves must be answered within this time, which is that of a slow server's largest call.
 */
const leastPatienceMs = 10_000;
const patienceCalls = 10;
const readyCanaryTimeoutMs = 60_000;
/** Failed probes in a row after which a ready server counts as down, unless nobody listens. */
const toleratedProbeFailures = 3;
/** Batches are few and large; the rest is for tokenize calls and probes. */
const maxConnections = 64;
/** A server that has just become ready is given its full share of the load over this time, in milliseconds. */
const slowStartMs = 10_000;
/** Weight of the newest call in the running mean of the time per token. */
const latencySmoothing = 0.2;

/** How much is in a batch. */
export interface BatchSize {
  items: number;
  tokens: number;
}

/** What the pace needs to know of a call that is in line with others. */
export interface CallInLine {
  /** Calls that may be under way at once. */
  slots: number;
  /** Items that wait for this server beside it. */
  itemsWaiting: number;
}

/** One model server: its connections, whether it can answer, and what it works on. */
export class Upstream {
  readonly url: string;
  /** `host:port`: names it to people. */
  readonly host: string;
  readonly pace: Pace;
  readonly breaker = new Breaker();
  /** Batches under way, and the items and tokens in them. */
  calls = 0;
  /** Whether one of them is for keys with little to do, ahead of the line. */
  hasCallAhead = false;
  outstandingItems = 0;
  outstandingTokens = 0;
  /** Running mean of a call's milliseconds; decides between servers with the same load. */
  latencyMs = 0;
  /** null until the server was seen ready. */
  model: ServerFacts | null = null;
  /** Length of its vectors; null until the canary has learned it, and for rerankers. */
  dimensions: number | null = null;
  isReady = false;
  /** It is about to be stopped: gets no more calls. */
  isDraining = false;
  readonly recent = new RecentCalls();
  readonly #silence = new Silence();
  /** Whether it was asked at least once. */
  isKnown = false;
  reason: string | null = 'not seen yet';
  readonly #canary: UpstreamOptions['canary'];
  readonly #calls: Pool;
  /** Of their own: behind calls that take all connections a busy server would look dead. */
  readonly #probes: Pool;
  readonly #pathPrefix: string;
  /** Aborted when the server goes down, so that no call waits on it for its deadline. */
  #down = new AbortController();
  #readySince = 0;
  #failedProbes = 0;
  #isDoubted = false;
  #probing: Promise<void> | null = null;
  readonly #whenIdle: (() => void)[] = [];

  constructor({ url, windowMs, canary }: UpstreamOptions) {
    this.url = url;
    this.pace = new Pace(windowMs);
    this.#canary = canary;
    const { origin, host, pathname } = new URL(url);
    this.host = host;
    this.#pathPrefix = pathname.replace(/\/$/, '');
    this.#calls = createPool(origin, maxConnections);
    this.#probes = createPool(origin, 1);
  }

  /** Whether a batch may go there at all: ready, its breaker closed, and answering. */
  isAvailable(now: number): boolean {
    const isRefused = this.breaker.needsTrial || this.breaker.isOpen(now);
    return this.isReady && !this.isDraining && !isRefused && !this.isSuspected(now);
  }

  /** Whether its calls have got no answer for so long that only a canary can tell whether it still works. */
  isSuspected(now: number): boolean {
    return (
      this.isReady && this.#silence.ms(now) > Math.max(leastPatienceMs, patienceCalls * this.pace.serviceMs)
    );
  }

  /** Tokens under way, weighed up while the server is fresh: its caches are cold and its kernels uncompiled. */
  weighedLoad(now: number): number {
    const age = Math.min(1, (now - this.#readySince + slowStartMs / 10) / slowStartMs);
    return (this.outstandingTokens + 1) / age;
  }

  /** Batches under way that count for the pace. */
  get callsInLine(): number {
    return this.calls - (this.hasCallAhead ? 1 : 0);
  }

  /** A call has begun: in line with the others, of which so many may be under way, or ahead of them (null). */
  started({ items, tokens }: BatchSize, now: number, line: CallInLine | null): void {
    this.calls++;
    this.outstandingItems += items;
    this.outstandingTokens += tokens;
    if (line === null) this.hasCallAhead = true;
    else this.pace.started(now, line.slots, this.outstandingItems + line.itemsWaiting);
    this.#silence.began(now);
  }

  /** A call was answered by an error. */
  answered(now: number): void {
    this.#silence.broken(now);
  }

  /** A call ahead of the line got its results. */
  succeededAhead(now: number): void {
    this.#silence.broken(now);
  }

  /** A call got its results; `itemsWaiting` for this server since. */
  succeeded(now: number, durationMs: number, itemsWaiting: number): void {
    this.#silence.broken(now);
    this.pace.ended(now, durationMs, this.outstandingItems + itemsWaiting);
    this.latencyMs =
      this.latencyMs === 0 ? durationMs : this.latencyMs + latencySmoothing * (durationMs - this.latencyMs);
  }

  ended({ items, tokens }: BatchSize, now: number, isAhead = false): void {
    if (isAhead) this.hasCallAhead = false;
    this.calls--;
    this.outstandingItems -= items;
    this.outstandingTokens -= tokens;
    if (this.calls > 0) return;
    this.#silence.paused(now);
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  /**
   * Sends it nothing more, and resolves when its calls have ended; from then on it counts as down. When `signal` aborts
   * before, it stays closed until it has gone down: the supervisor has waited long enough and stops it.
   */
  async drain(signal: AbortSignal): Promise<void> {
    this.isDraining = true;
    const idle = new Promise<void>(resolve => this.#whenIdle.push(resolve));
    if (this.calls > 0 && !signal.aborted) await Promise.race([idle, once(signal, 'abort')]);
    if (!signal.aborted) this.#setDown('was told to stop');
  }

  /**
   * Sends JSON, as a part of a trace when there is one; returns the answer's body. Throws UpstreamFailure, or the signal's
   * reason when it aborts.
   */
  async post(path: string, body: string, signal: AbortSignal, trace?: TraceHeaders): Promise<Buffer> {
    try {
      const question = { method: 'POST', path: `${this.#pathPrefix}${path}`, body, trace } as const;
      return await request(this.#calls, question, signal, this.#down.signal);
    } catch (error) {
      if (error instanceof UpstreamFailure && error.kind === 'refused') this.#setDown(error.message);
      throw error;
    }
  }

  /** Asks the server whether it can answer, and updates `isReady`. Calls at the same time share one probe. */
  probe(): Promise<void> {
    this.#probing ??= this.#probe().finally(() => {
      this.#probing = null;
      this.isKnown = true;
    });
    return this.#probing;
  }

  /** It gave wrong numbers: its canary tells whether it is the server, or a text that does that to any server. */
  async doubt(): Promise<void> {
    if (this.isDraining) return; // a canary that fails would cut off the calls that it finishes
    this.#isDoubted = true;
    await this.probe();
  }

  async close(): Promise<void> {
    await Promise.all([this.#calls.destroy(), this.#probes.destroy()]);
  }

  async #probe(): Promise<void> {
    const now = performance.now();
    if (this.breaker.isOpen(now)) return;
    const isSuspect = this.isSuspected(now);
    const isDoubted = this.#isDoubted && !this.isDraining;
    this.#isDoubted = false;
    const isTrial = !this.isReady || this.breaker.needsTrial || isSuspect || isDoubted;
    const life = this.#down;
    try {
      await this.#get('/health');
      if (isTrial) {
        this.model = parseServerFacts(await this.#get('/v1/models'));
        await this.#canary(this, AbortSignal.timeout(this.isReady ? readyCanaryTimeoutMs : canaryTimeoutMs));
        this.breaker.trialSucceeded();
        this.#silence.broken(performance.now());
      }
      // It went down meanwhile, or was drained: the next probe tells.
      if (life !== this.#down) return;
      this.#failedProbes = 0;
      if (!this.isReady) this.#readySince = performance.now();
      this.isReady = true;
      this.reason = null;
    } catch (error) {
      this.#failedProbes++;
      if (isTrial) this.breaker.trialFailed(performance.now());
      // It may have answered a call while its canary waited.
      const isHung = isTrial && this.isSuspected(performance.now());
      const isDefinite = isHung || (error instanceof UpstreamFailure && error.kind !== 'broken');
      if (isDefinite || this.#failedProbes >= toleratedProbeFailures || !this.isReady) {
        const silent = isHung ? 'answers no call' : 'does not answer /health';
        this.#setDown(error instanceof UpstreamFailure ? error.message : silent);
      }
    }
  }

  #setDown(reason: string): void {
    this.isReady = false;
    this.isDraining = false;
    this.reason = reason;
    this.#down.abort(new UpstreamFailure('broken', reason));
    this.#down = new AbortController();
  }

  async #get(path: string): Promise<Buffer> {
    const question = { method: 'GET', path: `${this.#pathPrefix}${path}`, body: null } as const;
    return await request(this.#probes, question, AbortSignal.timeout(probeTimeoutMs));
  }
}

function parseServerFacts(bytes: Buffer): ServerFacts {
  try {
    const [model] = (JSON.parse(bytes.toString()) as { data: Record<string, unknown>[] }).data;
    if (typeof model?.id !== 'string') throw new Error('no data[0].id');
    return {
      id: model.id,
      maxModelLen: typeof model.max_model_len === 'number' ? model.max_model_len : null,
      builtinModel: typeof model.engine === 'string' ? model.engine : null,
    };
  } catch (error) {
    throw new UpstreamFailure('nonsense', 'answered /v1/models with nonsense', { cause: error });
  }
}
