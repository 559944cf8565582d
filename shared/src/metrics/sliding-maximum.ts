/** The largest of the values of the last so many milliseconds, whoever reads it and however often. */
export class SlidingMaximum {
  readonly #windowMs: number;
  /** Values that are the largest since they came, the oldest and largest first. */
  #peaks: { at: number; value: number }[] = [];

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  /** `at`: when, in milliseconds; not before the value before. */
  add(value: number, at: number): void {
    while ((this.#peaks.at(-1)?.value ?? Number.POSITIVE_INFINITY) <= value) this.#peaks.pop();
    this.#peaks.push({ at, value });
    this.#forget(at);
  }

  /** 0 when there was none. */
  at(now: number): number {
    this.#forget(now);
    return this.#peaks[0]?.value ?? 0;
  }

  #forget(now: number): void {
    const first = this.#peaks.findIndex(({ at }) => now - at <= this.#windowMs);
    if (first !== 0) this.#peaks = first < 0 ? [] : this.#peaks.slice(first);
  }
}
