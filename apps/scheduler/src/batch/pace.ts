/** Weight of the newest call in the running means. */
const smoothing = 0.2;
/** Part of the items in the system that must be there before a batch is thought complete: some are always on their way. */
const completeShare = 0.9;

/**
 * Calls under way on a server whose calls hold one job each: nothing fills while they wait, so they go at once, as many as
 * keep any server busy.
 */
const unsharedSlots = 64;

/** What a batch would be if it started now. */
export interface WaitingBatch {
  /** Items that wait for this server. */
  items: number;
  /** It fills a call: waiting longer would gain nothing. */
  isFull: boolean;
  /** Items of several jobs can be in it. */
  isShared: boolean;
}

/**
 * When the next batch may go to one server: "gather while busy".
 *
 * A server that has rested for a window gets work at once. A busy one gets its next batch when those are back whom it serves: callers send
 * again soon after they were answered, so the items in the system (waiting and under way), divided by the calls that
 * share them, are what a batch can become. Who does not come back is waited for no longer than a window, which follows
 * the measured service time, and only once: a caller that is alone after a rush of others waits for them one time. Sending what is there whenever a slot is free was measured to settle at batches of 4 to 8,
 * slower than no gateway; group commit of databases is the same idea.
 */
export class Pace {
  readonly #fixedWindowMs: number | null;
  /** Running mean of service times in milliseconds; 0 until the first call has ended. */
  serviceMs = 0;
  /** Running mean of the items in the system. */
  itemsInSystem = 0;
  #lastEventAt = Number.NEGATIVE_INFINITY;

  /** A fixed window is waited out whole; null lets it follow what is measured. */
  constructor(fixedWindowMs: number | null) {
    this.#fixedWindowMs = fixedWindowMs;
  }

  /** Milliseconds until a batch may start; 0 is now, Infinity is not before a call ends. */
  waitMs(now: number, callsUnderWay: number, slots: number, batch: WaitingBatch): number {
    if (!batch.isShared) return callsUnderWay < unsharedSlots ? 0 : Number.POSITIVE_INFINITY;
    if (callsUnderWay >= slots) return Number.POSITIVE_INFINITY;
    if (batch.isFull) return 0;
    const isComplete = batch.items >= Math.floor((completeShare * this.itemsInSystem) / slots);
    if (this.#fixedWindowMs === null && isComplete) return 0;
    return Math.max(0, this.#lastEventAt + this.windowMs(slots) - now);
  }

  /** The longest wait for a batch to fill, in milliseconds, since a call began or ended. */
  windowMs(slots: number): number {
    return this.#fixedWindowMs ?? this.serviceMs / slots;
  }

  /** A call begins, with so many items in the system, its own included. */
  started(now: number, slots: number, itemsInSystem: number): void {
    const isWindowOver = now - this.#lastEventAt >= this.windowMs(slots);
    if (isWindowOver) this.itemsInSystem = Math.min(this.itemsInSystem, itemsInSystem);
    this.#lastEventAt = now;
  }

  /** A call has ended well: how long it took, and what was in the system then, its own items included. */
  ended(now: number, durationMs: number, itemsInSystem: number): void {
    this.#lastEventAt = now;
    const isFirst = this.serviceMs === 0;
    this.serviceMs += (isFirst ? 1 : smoothing) * (durationMs - this.serviceMs);
    this.itemsInSystem += (isFirst ? 1 : smoothing) * (itemsInSystem - this.itemsInSystem);
  }
}
