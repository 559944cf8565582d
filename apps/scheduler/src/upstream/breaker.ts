/** Failures in a row that open a breaker. */
const failuresToOpen = 5;
/** First and longest time that it stays open, in milliseconds; doubled each time a trial fails. */
const firstOpenMs = 500;
const longestOpenMs = 30_000;

/**
 * A circuit breaker fed by the calls that are made anyway. Closed: calls go through. Open: none do, for a while. Half-open:
 * a trial (the canary of the health probe) decides. Words as in Nygard, Release It!
 */
export class Breaker {
  /** Times that failures opened it; trials that failed are not counted again. */
  openings = 0;
  #failures = 0;
  #openMs = 0;
  #openUntil = 0;

  /** Whether calls must stay away at this time. */
  isOpen(now: number): boolean {
    return now < this.#openUntil;
  }

  /** Whether it was opened and no trial has closed it yet. */
  get needsTrial(): boolean {
    return this.#openMs > 0;
  }

  /** A call ended well: with it ends the row of failures. Only a trial closes an open breaker. */
  succeeded(): void {
    this.#failures = 0;
  }

  failed(now: number): void {
    this.#failures++;
    if (this.#failures < failuresToOpen || this.needsTrial) return;
    this.openings++;
    this.#open(now, firstOpenMs);
  }

  trialSucceeded(): void {
    this.#failures = 0;
    this.#openMs = 0;
    this.#openUntil = 0;
  }

  trialFailed(now: number): void {
    if (this.needsTrial) this.#open(now, Math.min(this.#openMs * 2, longestOpenMs));
  }

  #open(now: number, forMs: number): void {
    this.#openMs = forMs;
    this.#openUntil = now + forMs;
  }
}
