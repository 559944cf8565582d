import type { RequestError } from '@er-gateway/shared/errors/request-error';
import type { BatchReport } from '@er-gateway/shared/scheduler-protocol';
import type { BatchBudget } from '../queue/class-line.ts';
import { FairQueue } from '../queue/fair-queue.ts';
import type { Item, ItemResult } from '../queue/item.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { refusalFor, UpstreamFailure } from '../upstream/upstream-failure.ts';
import type { UpstreamPool } from '../upstream/upstream-pool.ts';
import type { Wire } from '../wire/wire.ts';
import { type EndedCall, outcomeOf, watchAbandonment } from './call.ts';
import { DrainRate } from './drain-rate.ts';
import { SlotFinder } from './slot-finder.ts';

/** Keys with little to do are expected again for so long after they came, in milliseconds. */
const aheadMs = 1000;
/** The least part of a batch that a call in line may hold meanwhile, however many calls are allowed. */
const leastShare = 1 / 4;
/** Whole batches under way at most, where their number is found: more would only wait at the server, and a stranger's text behind them. */
const mostLargeCalls = 4;

export interface BatcherOptions {
  pool: UpstreamPool;
  wire: Wire;
  /** Most items and tokens in one call. */
  budget: BatchBudget;
  /** Calls under way on one server at once; null finds out. */
  slots: number | null;
  /** A call has ended, one way or the other. */
  onCallEnd?: (call: EndedCall) => void;
  now?: () => number;
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
  readonly #drainRate = new DrainRate();
  #lastAheadAt = Number.NEGATIVE_INFINITY;

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
    const { pool, wire } = this.#options;
    for (;;) {
      if (this.queue.size === 0) return;
      const now = this.#now();
      const budget = this.#budgetInLine(now);
      const isFull = this.queue.size >= budget.items || this.queue.tokens >= budget.tokens;
      const slots = isFull || this.#isSharing(now) ? this.#slotsOfLargeCalls : this.slots;
      const next = pool.nextFree(now, slots, upstream => ({
        items: this.#itemsWaitingForOne(),
        isFull,
        isShared: wire.canJoinJobs(upstream),
      }));
      if (next === null) {
        if (pool.isDown) this.#refuseAll();
        return;
      }
      if (next.waitMs > 0) {
        this.#sendAhead();
        if (Number.isFinite(next.waitMs)) this.#timer = setTimeout(() => this.wake(), next.waitMs);
        return;
      }
      const batch = this.queue.take(budget, !wire.canJoinJobs(next.upstream));
      if (batch.length > 0) void this.#run(next.upstream, batch);
    }
  }

  /**
   * While the server's calls are taken up by keys that flood it, who has little to do gets calls of their own, one at a
   * time: behind whole batches a single text would wait for two of them, and then be in a third.
   */
  #sendAhead(): void {
    const { pool, budget, wire } = this.#options;
    const upstream = pool.bestAhead();
    if (upstream === null || !wire.canJoinJobs(upstream)) return;
    const batch = this.queue.takeAhead(budget);
    if (batch.length === 0) return;
    this.#lastAheadAt = this.#now();
    void this.#run(upstream, batch, { isAhead: true });
  }

  /**
   * What a call in line may hold. The calls of a server share one batch while somebody comes ahead of them: the server works
   * in the order of arrival, so what is under way is what a single text waits for.
   */
  #budgetInLine(now: number): BatchBudget {
    const { budget } = this.#options;
    if (!this.#isSharing(now)) return budget;
    const share = Math.max(leastShare, 1 / this.#slotsOfLargeCalls);
    const part = (whole: number) => Math.max(1, Math.floor(whole * share));
    return { items: part(budget.items), tokens: part(budget.tokens) };
  }

  #isSharing(now: number): boolean {
    return now - this.#lastAheadAt <= aheadMs;
  }

  get #slotsOfLargeCalls(): number {
    return this.#options.slots ?? Math.min(this.#slotFinder.slots, mostLargeCalls);
  }

  /**
   * Time until what is under way and these tokens (what waits, when absent) are done, in milliseconds, by the rate of late;
   * 0 while that is not known.
   */
  drainMs(tokens = this.queue.tokens): number {
    const { tokensPerSecond } = this.#drainRate;
    const underWay = this.#options.pool.upstreams.reduce(
      (sum, upstream) => sum + upstream.outstandingTokens,
      0,
    );
    return tokensPerSecond === 0 ? 0 : ((underWay + tokens) / tokensPerSecond) * 1000;
  }

  /** Whether the rate of late is what the model can do at most: less was measured while calls were small. */
  get knowsCapacity(): boolean {
    return this.#drainRate.isCapacity;
  }

  report(): BatchReport {
    return {
      slots: this.slots,
      windowMs: Math.max(...this.#options.pool.upstreams.map(({ pace }) => pace.windowMs(this.slots))),
      waitingItems: this.queue.size,
      waitingTokens: this.queue.tokens,
      calls: this.#calls,
      items: this.#items,
      meanBatch: this.#calls === 0 ? 0 : this.#items / this.#calls,
      tokensPerSecond: this.#drainRate.tokensPerSecond,
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

  /** `isPart`: a failure of the batch that it was cut from has been counted. `isAhead`: not in line with the others. */
  async #run(upstream: Upstream, batch: Item[], { isPart = false, isAhead = false } = {}): Promise<void> {
    const { wire, onCallEnd } = this.#options;
    const startedAt = this.#now();
    const size = { items: batch.length, tokens: batch.reduce((sum, item) => sum + item.tokens, 0) };
    for (const item of batch) {
      item.dispatchedAt ??= startedAt;
      item.upstream = upstream.host;
    }
    this.#calls++;
    this.#items += batch.length;
    const cancel = new AbortController();
    const watched = watchAbandonment(batch, cancel);
    const line = isAhead ? null : { slots: this.slots, itemsWaiting: this.#itemsWaitingForOne() };
    upstream.started(size, startedAt, line);
    const [answer] = await Promise.allSettled([wire.send(upstream, batch, cancel.signal)]);
    const now = this.#now();
    const durationMs = now - startedAt;
    const outcome = outcomeOf(answer);
    onCallEnd?.({ outcome, durationMs, ...size });
    watched.end();
    if (answer.status === 'fulfilled') {
      if (isAhead) upstream.succeededAhead(now);
      else upstream.succeeded(now, durationMs, this.#itemsWaitingForOne());
      upstream.ended(size, now, isAhead);
      if (outcome === 'ok') upstream.breaker.succeeded();
      else void this.#options.pool.doubt(upstream);
      upstream.recent.add(durationMs, size.items, now);
      if (!isAhead) this.#learn(batch, { ...size, durationMs }, now);
      this.#deliver(upstream, batch, answer.value);
    } else {
      if (outcome !== 'cancelled') upstream.answered(now);
      upstream.ended(size, now, isAhead);
      await this.#fail(upstream, batch, answer.reason, isPart);
    }
    this.wake();
  }

  #learn(
    batch: readonly Item[],
    call: { items: number; tokens: number; durationMs: number },
    now: number,
  ): void {
    const { items, tokens, durationMs } = call;
    const { budget } = this.#options;
    this.#drainRate.ended(now, {
      startedAt: now - durationMs,
      tokens,
      isBacklogged: this.queue.size > 0,
      isFull: items * 2 >= budget.items || tokens * 2 >= budget.tokens,
    });
    const inSystemMs = batch.reduce((sum, item) => sum + now - item.arrivedAt, 0);
    this.#slotFinder.ended(now, { ...call, inSystemMs });
  }

  /** What waits is shared by the servers. */
  #itemsWaitingForOne(): number {
    return this.queue.size / Math.max(1, this.#options.pool.availableCount);
  }

  #deliver(
    upstream: Upstream,
    batch: readonly Item[],
    results: readonly (ItemResult | UpstreamFailure)[],
  ): void {
    const failed: Item[] = [];
    for (const [index, item] of batch.entries()) {
      const result = results[index];
      if (result === undefined) item.reject(new Error('a wire returned too few results'));
      else if (!(result instanceof UpstreamFailure)) item.resolve(result);
      else if (++item.failedCalls < 2) failed.push(item);
      else item.reject(this.#options.pool.failedTwice(result));
    }
    if (failed.length === 0) return;
    const other = this.#options.pool.best(upstream);
    if (other) void this.#run(other, failed);
    else this.queue.pushBack(failed);
  }

  /**
   * What becomes of a batch whose call failed. A request that the server refuses is cut in halves until the item that it
   * refuses is alone: only its owner is told. A server that failed is probed, and the batch goes once more, elsewhere if
   * there is an elsewhere; when that fails too and a server is alive, the batch is cut in halves as well, in case one
   * item breaks it.
   */
  async #fail(upstream: Upstream, batch: Item[], error: unknown, isPart: boolean): Promise<void> {
    const { pool } = this.#options;
    const wanted = batch.filter(item => !item.isAbandoned);
    if (wanted.length === 0) return;
    if (!(error instanceof UpstreamFailure)) {
      for (const item of wanted) item.reject(error as Error);
      return;
    }
    if (error.isRefusalOfRequest) {
      if (wanted.length === 1) wanted[0]?.reject(refusalFor(error, pool.model.served_name));
      else await this.#runHalves(upstream, wanted, isPart);
      return;
    }
    // Nobody listened: the call has reached no server, and says nothing of its items.
    if (error.kind !== 'refused') for (const item of wanted) item.failedCalls++;
    const isSecond = wanted.some(item => item.failedCalls > 1);
    const probed = pool.failed(upstream, isPart);
    const other = pool.best(upstream);
    if (!isSecond && other) {
      void this.#run(other, wanted);
      return;
    }
    await probed;
    if (pool.isDown) for (const item of wanted) item.reject(pool.unavailable());
    else if (!isSecond) this.queue.pushBack(wanted);
    else if (wanted.length === 1) wanted[0]?.reject(pool.failedTwice(error));
    else await this.#runHalves(upstream, wanted, true);
  }

  /** On the same server while it can answer: another one may just have broken by this batch. */
  async #runHalves(upstream: Upstream, batch: readonly Item[], isPart: boolean): Promise<void> {
    const { pool } = this.#options;
    const middle = Math.ceil(batch.length / 2);
    for (const half of [batch.slice(0, middle), batch.slice(middle)]) {
      const wanted = half.filter(item => !item.isAbandoned);
      const server = upstream.isAvailable(this.#now()) ? upstream : pool.best();
      if (server === null) for (const item of wanted) item.reject(pool.unavailable());
      else if (wanted.length > 0) await this.#run(server, wanted, { isPart });
    }
  }

  #refuseAll(): void {
    const refusal: RequestError = this.#options.pool.unavailable();
    for (const item of this.queue.clear()) item.reject(refusal);
  }
}
