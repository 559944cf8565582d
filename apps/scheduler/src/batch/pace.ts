/** Weight of the newest call in the running mean of service times. */
const smoothing = 0.2;

/**
 * Calls under way on a server whose calls hold one job each: nothing fills while they wait, so they go at once, as many as
 * keep any server busy.
 */
const unsharedSlots = 64;

/** What the pace of a server is reckoned from. */
export interface PaceOptions {
  /** Calls that may be under way on one server at once. */
  slots: number;
  /** Fixed window in milliseconds; null lets it follow the service time. */
  windowMs: number | null;
}

/**
 * When the next batch may go to one server: "gather while busy".
 *
 * An idle server gets work at once. A busy one gets its next batch only after a window, so that the batch can fill:
 * sending what is there whenever a slot is free was measured to settle at batches of 4 to 8, slower than no gateway.
 * The window is a server's service time divided by its slots, so that calls start evenly spaced over it: one call is
 * being prepared while another is computed, and arrivals in between share a call. It follows the measured service time
 * (which grows with batch size, model and load), and is zero when the server is idle.
 */
export class Pace {
  readonly #options: PaceOptions;
  /** Running mean of service times in milliseconds; 0 until the first call has ended. */
  serviceMs = 0;
  #lastStartAt = Number.NEGATIVE_INFINITY;

  constructor(options: PaceOptions) {
    this.#options = options;
  }

  /** Milliseconds until a batch may start; 0 is now, Infinity is not before another call ends. */
  waitMs(now: number, callsUnderWay: number, batch: { isFull: boolean; isShared: boolean }): number {
    if (callsUnderWay === 0) return 0;
    if (!batch.isShared) return callsUnderWay < unsharedSlots ? 0 : Number.POSITIVE_INFINITY;
    if (callsUnderWay >= this.#options.slots) return Number.POSITIVE_INFINITY;
    if (batch.isFull) return 0;
    return Math.max(0, this.#lastStartAt + this.windowMs - now);
  }

  /** The window now, in milliseconds. */
  get windowMs(): number {
    return this.#options.windowMs ?? this.serviceMs / this.#options.slots;
  }

  started(now: number): void {
    this.#lastStartAt = now;
  }

  ended(durationMs: number): void {
    this.serviceMs =
      this.serviceMs === 0 ? durationMs : this.serviceMs + smoothing * (durationMs - this.serviceMs);
  }
}
