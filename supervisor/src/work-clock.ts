/** What shows that a model server works, whether it answers or not. */
export interface WorkSigns {
  /** Bytes of output so far. */
  outputBytes: () => number;
  /** CPU time of its whole process group so far. */
  cpuSeconds: () => number;
}

/** Looking through /proc costs milliseconds. */
const lookEveryMs = 1_000;
/** More than this between two looks is time in which this machine did not run: it says nothing about the server. */
const longestLookMs = 4_000;

/** Measures for how long a model server has done nothing: neither printed a byte nor used CPU time worth naming. */
export class WorkClock {
  readonly #signs: WorkSigns;
  /** Less CPU time than this is the ticking of an idle program. */
  readonly #leastCpuSeconds: number;
  #outputBytes: number;
  #cpuSeconds: number;
  #lookedAt = performance.now();
  #idleMs = 0;

  constructor(signs: WorkSigns, leastCpuSeconds: number) {
    this.#signs = signs;
    this.#leastCpuSeconds = leastCpuSeconds;
    this.#outputBytes = signs.outputBytes();
    this.#cpuSeconds = signs.cpuSeconds();
  }

  /** Milliseconds since it was last seen to work, as far as this machine ran meanwhile. */
  idleMs(): number {
    const now = performance.now();
    const passedMs = now - this.#lookedAt;
    if (passedMs < lookEveryMs) return this.#idleMs;
    this.#lookedAt = now;
    const outputBytes = this.#signs.outputBytes();
    const cpuSeconds = this.#signs.cpuSeconds();
    // Less than before: a process of the group has ended.
    const hasMoved = Math.abs(cpuSeconds - this.#cpuSeconds) >= this.#leastCpuSeconds;
    if (outputBytes === this.#outputBytes && !hasMoved) {
      this.#idleMs += Math.min(passedMs, longestLookMs);
    } else {
      this.#idleMs = 0;
      this.#outputBytes = outputBytes;
      this.#cpuSeconds = cpuSeconds;
    }
    return this.#idleMs;
  }
}
