/** Time over which calls are added up before they count, in milliseconds. */
const leastPeriodMs = 1000;
/** Weight of the newest period in the running mean. */
const smoothing = 0.3;

/** A call that was answered. */
export interface DrainedCall {
  startedAt: number;
  tokens: number;
  /** More was waiting when it ended: the model had enough to do. */
  isBacklogged: boolean;
  /** It held as much as a call may. */
  isFull: boolean;
}

/**
 * Tokens a second that a model gets done while something waits, over time and all of its calls. Calls that were not full
 * show the least that it can do (each is mostly overhead), so they never lower what full ones have shown.
 */
export class DrainRate {
  /** 0 until it was seen. */
  tokensPerSecond = 0;
  /** Full calls have shown it: the model does not do more. */
  isCapacity = false;
  #lastEndAt = Number.NEGATIVE_INFINITY;
  #tokens = 0;
  #elapsedMs = 0;
  #isFull = true;

  ended(now: number, { startedAt, tokens, isBacklogged, isFull }: DrainedCall): void {
    const elapsedMs = now - Math.max(startedAt, this.#lastEndAt);
    this.#lastEndAt = now;
    if (!isBacklogged) return;
    this.#tokens += tokens;
    this.#elapsedMs += elapsedMs;
    this.#isFull &&= isFull;
    if (this.#elapsedMs < leastPeriodMs) return;
    this.#learn((this.#tokens * 1000) / this.#elapsedMs);
    this.#tokens = 0;
    this.#elapsedMs = 0;
    this.#isFull = true;
  }

  #learn(rate: number): void {
    const isFirst = this.tokensPerSecond === 0;
    if (rate < this.tokensPerSecond && !this.#isFull) return;
    this.isCapacity ||= this.#isFull;
    this.tokensPerSecond += (isFirst ? 1 : smoothing) * (rate - this.tokensPerSecond);
  }
}
