import type { RequestError } from '@er-gateway/shared/errors/request-error';
import type { BatchReport } from '@er-gateway/shared/scheduler-protocol';
import { FairQueue } from '../queue/fair-queue.ts';
import type { Item, ItemResult } from '../queue/item.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { refusalFor, UpstreamFailure } from '../upstream/upstream-failure.ts';
import type { UpstreamPool } from '../upstream/upstream-pool.ts';
import type { Wire } from '../wire/wire.ts';
import { SlotFinder } from './slot-finder.ts';

/** Weight of the newest call in the running mean of the drain rate. */
const drainSmoothing = 0.2;

export interface BatcherOptions {
  pool: UpstreamPool;
  wire: Wire;
  /** Most items and tokens in one call. */
  budget: { items: number; tokens: number };
  /** Calls under way on one server at once; null finds out. */
  slots: number | null;
  /** A call has ended, one way or the other. */
  onCallEnd?: (call: EndedCall) => void;
  now?: () => number;
}

/** How a call to a model server ended: refused is a 4xx about an input. */
export interface EndedCall {
  outcome: 'ok' | 'refused' | 'failed' | 'cancelled';
  durationMs: number;
  items: number;
  tokens: number;
}

/**
 * Turns what waits for one model into calls. The only place that decides when a batch starts (see Pace), what is in it
 * (see FairQueue), where it goes (see UpstreamPool), and who pays when it fails.
 */
export class Batcher {
  readonly queue = new FairQueue();
  readonly #options: BatcherOptions;
  readonly #now: () => number;
  #timer: NodeJS.Timeout | undefined;
  readonly #slotFinder = new SlotFinder();
  #isWakeDue = false;
  #calls = 0;
  #items = 0;
  #tokensPerSecond = 0;

  constructor(options: BatcherOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Takes items in; they are settled later. Those that are added in one turn of the event loop can share a call. */
  add(items: readonly Item[]): void {
    for (const item of items) this.queue.push(item);
    this.#wakeSoon();
  }

  /** Calls that one server may have under way now. */
  get slots(): number {
    return this.#options.slots ?? this.#slotFinder.slots;
  }

  /** A server came or went, or became idle: look again. */
  wake(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { pool, budget, wire } = this.#options;
    for (;;) {
      if (this.queue.size === 0) return;
      const now = this.#now();
      const isFull = this.queue.size >= budget.items || this.queue.tokens >= budget.tokens;
      const next = pool.nextFree(now, this.slots, upstream => ({
        items: this.#itemsWaitingForOne(),
        isFull,
        isShared: wire.canJoinJobs(upstream),
      }));
      if (next === null) {
        if (pool.isDown) this.#refuseAll();
        return;
      }
      if (next.waitMs > 0) {
        if (Number.isFinite(next.waitMs)) this.#timer = setTimeout(() => this.wake(), next.waitMs);
        return;
      }
      const batch = this.queue.take(budget, !wire.canJoinJobs(next.upstream));
      if (batch.length > 0) void this.#run(next.upstream, batch);
    }
  }

  /** Time until what waits now is done, in milliseconds, by the rate of late; 0 while that is not known. */
  drainMs(tokens = this.queue.tokens): number {
    return this.#tokensPerSecond === 0 ? 0 : (tokens / this.#tokensPerSecond) * 1000;
  }

  report(): BatchReport {
    return {
      slots: this.slots,
      waitingItems: this.queue.size,
      waitingTokens: this.queue.tokens,
      calls: this.#calls,
      items: this.#items,
      meanBatch: this.#calls === 0 ? 0 : this.#items / this.#calls,
      tokensPerSecond: this.#tokensPerSecond,
    };
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #wakeSoon(): void {
    if (this.#isWakeDue) return;
    this.#isWakeDue = true;
    setImmediate(() => {
      this.#isWakeDue = false;
      this.wake();
    });
  }

  async #run(upstream: Upstream, batch: Item[]): Promise<void> {
    const { wire, onCallEnd } = this.#options;
    const startedAt = this.#now();
    const tokens = batch.reduce((sum, item) => sum + item.tokens, 0);
    for (const item of batch) {
      item.dispatchedAt ??= startedAt;
      item.upstream = upstream.host;
    }
    this.#calls++;
    this.#items += batch.length;
    const cancel = new AbortController();
    const watched = watchAbandonment(batch, cancel);
    const size = { items: batch.length, tokens };
    upstream.started(size, startedAt);
    try {
      const results = await wire.send(upstream, batch, cancel.signal);
      const now = this.#now();
      const durationMs = now - startedAt;
      upstream.succeeded(now, durationMs, this.#itemsWaitingForOne());
      upstream.recent.add(durationMs, batch.length, now);
      this.#learnRate(batch.length, tokens, durationMs);
      const inSystemMs = batch.reduce((sum, item) => sum + now - item.arrivedAt, 0);
      this.#slotFinder.ended(now, { ...size, durationMs, inSystemMs });
      onCallEnd?.({ outcome: 'ok', durationMs, ...size });
      this.#deliver(batch, results);
    } catch (error) {
      onCallEnd?.({ outcome: outcomeOf(error), durationMs: this.#now() - startedAt, ...size });
      await this.#fail(upstream, batch, error);
    } finally {
      watched.end();
      upstream.ended(size);
      this.wake();
    }
  }

  /** What waits is shared by the servers. */
  #itemsWaitingForOne(): number {
    return this.queue.size / Math.max(1, this.#options.pool.availableCount);
  }

  #deliver(batch: readonly Item[], results: readonly (ItemResult | UpstreamFailure)[]): void {
    for (const [index, item] of batch.entries()) {
      const result = results[index];
      if (result === undefined) item.reject(new Error('a wire returned too few results'));
      else if (!(result instanceof UpstreamFailure)) item.resolve(result);
      else if (++item.failedCalls < 2) this.queue.pushBack([item]);
      else item.reject(this.#options.pool.failedTwice(result));
    }
  }

  /**
   * What becomes of a batch whose call failed. A request that the server refuses is cut in halves until the item that it
   * refuses is alone: only its owner is told. A server that failed is probed, and the batch goes once more, elsewhere if
   * there is an elsewhere; when that fails too and the server is alive, the batch is cut in halves as well, in case one
   * item breaks it.
   */
  async #fail(upstream: Upstream, batch: Item[], error: unknown): Promise<void> {
    const { pool } = this.#options;
    const wanted = batch.filter(item => !item.isAbandoned);
    if (wanted.length === 0) return;
    if (!(error instanceof UpstreamFailure)) {
      for (const item of wanted) item.reject(error as Error);
      return;
    }
    if (error.isRefusalOfRequest) {
      if (wanted.length === 1) wanted[0]?.reject(refusalFor(error, pool.model.served_name));
      else await this.#runHalves(upstream, wanted);
      return;
    }
    // Nobody listened: the call has reached no server, and says nothing of its items.
    if (error.kind !== 'refused') for (const item of wanted) item.failedCalls++;
    await pool.failed(upstream, error);
    if (!pool.isReady) {
      const refusal = pool.unavailable();
      for (const item of wanted) item.reject(refusal);
      return;
    }
    const isSecond = wanted.some(item => item.failedCalls > 1);
    if (!isSecond) this.queue.pushBack(wanted);
    else if (wanted.length === 1) wanted[0]?.reject(pool.failedTwice(error));
    else await this.#runHalves(upstream, wanted);
  }

  async #runHalves(upstream: Upstream, batch: Item[]): Promise<void> {
    const middle = Math.ceil(batch.length / 2);
    await this.#run(upstream, batch.slice(0, middle));
    await this.#run(upstream, batch.slice(middle));
  }

  #refuseAll(): void {
    const refusal: RequestError = this.#options.pool.unavailable();
    for (const item of this.queue.clear()) item.reject(refusal);
  }

  /** Only calls that are half full tell what the model can do: small ones are mostly overhead. */
  #learnRate(items: number, tokens: number, durationMs: number): void {
    const { budget, pool } = this.#options;
    if (items * 2 < budget.items && tokens * 2 < budget.tokens) return;
    const rate = (tokens / durationMs) * 1000 * Math.max(1, pool.calls);
    this.#tokensPerSecond =
      this.#tokensPerSecond === 0
        ? rate
        : this.#tokensPerSecond + drainSmoothing * (rate - this.#tokensPerSecond);
  }
}

/** Aborts a call when nobody waits for any of its items any more. */
function watchAbandonment(batch: readonly Item[], cancel: AbortController): { end: () => void } {
  const onLeave = () => {
    if (batch.every(item => item.isAbandoned)) cancel.abort(new Error('nobody waits for this call any more'));
  };
  for (const item of batch) item.onAbandoned = onLeave;
  return {
    end: () => {
      for (const item of batch) if (item.onAbandoned === onLeave) item.onAbandoned = undefined;
    },
  };
}

function outcomeOf(error: unknown): EndedCall['outcome'] {
  if (!(error instanceof UpstreamFailure)) return 'cancelled';
  return error.isRefusalOfRequest ? 'refused' : 'failed';
}
