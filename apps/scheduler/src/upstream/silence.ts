/**
 * How long a server has had calls under way since it last answered one. A hung engine looks so while its /health says 200.
 * Calls that end without an answer (their callers left, or their time was over) leave it as it is: else a server that
 * never answers would look idle.
 */
export class Silence {
  #beforeMs = 0;
  #since: number | null = null;

  /** Milliseconds of it at this time (performance.now()). */
  ms(now: number): number {
    return this.#beforeMs + (this.#since === null ? 0 : now - this.#since);
  }

  /** A call is under way. */
  began(now: number): void {
    this.#since ??= now;
  }

  /** No call is under way any more. */
  paused(now: number): void {
    this.#beforeMs = this.ms(now);
    this.#since = null;
  }

  /** The server has answered; other calls may be under way. */
  broken(now: number): void {
    this.#beforeMs = 0;
    if (this.#since !== null) this.#since = now;
  }
}
