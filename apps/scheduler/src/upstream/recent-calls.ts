/** How far back is looked, in milliseconds, and how many calls are remembered at most. */
const windowMs = 60_000;
const mostCalls = 4096;

/** The calls of one server in the last minute, for the eyes of operators. */
export class RecentCalls {
  readonly #calls: { at: number; durationMs: number; items: number }[] = [];

  /** Remembers a call that ended well. */
  add(durationMs: number, items: number, now = performance.now()): void {
    this.#calls.push({ at: now, durationMs, items });
    if (this.#calls.length > mostCalls) this.#calls.splice(0, mostCalls / 2);
  }

  /** Inputs answered a second, and the median of a call's milliseconds (null without calls). */
  summary(now = performance.now()): { inputsPerSecond: number; p50Ms: number | null } {
    const first = this.#calls.findIndex(({ at }) => now - at <= windowMs);
    this.#calls.splice(0, first < 0 ? this.#calls.length : first);
    const items = this.#calls.reduce((sum, call) => sum + call.items, 0);
    const durations = this.#calls.map(({ durationMs }) => durationMs).sort((a, b) => a - b);
    const spanMs = Math.max(1000, now - (this.#calls[0]?.at ?? now));
    return {
      inputsPerSecond: (items * 1000) / spanMs,
      p50Ms: durations[Math.floor(durations.length / 2)] ?? null,
    };
  }
}
