/** Numbers of calls under way that are tried. More than four were never better: a server computes one batch at a time. */
const candidates = [1, 2, 4];
/** Used while there is too little to do for a choice to matter. */
const usual = 2;
/** Items in the system below which nothing is tried. */
const fewItems = 4;
/** A trial lasts this many mean calls, but at least this long, in milliseconds. */
const periodCalls = 12;
const leastPeriodMs = 400;
/** Calls after a change that still show the setting before it. */
const settlingCalls = 3;
/** Every other period is a trial until this many were made, then one in eight. */
const eagerTrials = 8;
const periodsBetweenTrials = 7;
/** Weight of the newest trial in the running mean of a candidate. */
const smoothing = 0.3;
/** How much better a candidate must be, as the logarithm of a ratio: trials are noisy, and changes are not free. */
const leastGain = Math.log(1.05);

/** A call that ended well. */
export interface CountedCall {
  tokens: number;
  items: number;
  durationMs: number;
  /** Sum over its items of the milliseconds since each came. */
  inSystemMs: number;
}

/**
 * Finds out, while running, how many calls a server should have under way at once.
 *
 * Few calls make large batches (vLLM's cost of a call is shared by more), several keep it busy while the next is made
 * ready; which is better depends on model, machine and load. Every now and then another number is tried for a period and
 * compared with the periods before and after it, so that a load that changes meanwhile meets both. What is compared is
 * power, throughput divided by time in the system (Giessler et al. 1978, Kleinrock 1979): with a fixed number of callers it grows with
 * throughput, at a given arrival rate with shorter waits.
 */
export class SlotFinder {
  #best = usual;
  /** What is tried now; null in a period of the best. */
  #trial: { slots: number; powerBefore: number; power: number | null } | null = null;
  #trials = 0;
  #periodsSinceTrial = 0;
  /** Mean logarithm of a candidate's power over the best's. */
  readonly #gains = new Map<number, number>();
  #isProbing = false;
  #settling = 0;
  #period: {
    startedAt: number;
    calls: number;
    tokens: number;
    items: number;
    inSystemMs: number;
    busyMs: number;
  } | null = null;

  /** Calls that may be under way on one server now. */
  get slots(): number {
    return this.#isProbing && this.#trial ? this.#trial.slots : this.#best;
  }

  /** Counts a call. `now` in milliseconds of any clock that does not jump. */
  ended(now: number, call: CountedCall): void {
    if (this.#settling > 0) {
      this.#settling--;
      this.#period = null;
      return;
    }
    this.#period ??= {
      startedAt: now - call.durationMs,
      calls: 0,
      tokens: 0,
      items: 0,
      inSystemMs: 0,
      busyMs: 0,
    };
    const period = this.#period;
    period.calls++;
    period.tokens += call.tokens;
    period.items += call.items;
    period.inSystemMs += call.inSystemMs;
    period.busyMs += call.durationMs;
    const elapsedMs = now - period.startedAt;
    if (elapsedMs < Math.max(leastPeriodMs, (periodCalls * period.busyMs) / period.calls)) return;
    this.#period = null;
    // Little's law: time spent in the system per time that passed is the mean number of items in it.
    if (period.inSystemMs / elapsedMs < fewItems) this.#rest();
    else this.#judge((period.tokens / elapsedMs) * (period.items / period.inSystemMs));
  }

  /** Too little to do: what was learned is of another load. */
  #rest(): void {
    this.#endTrial();
    this.#best = usual;
    this.#gains.clear();
    this.#trials = 0;
  }

  #judge(power: number): void {
    const trial = this.#trial;
    if (trial === null) {
      const wait = this.#trials < eagerTrials ? 0 : periodsBetweenTrials;
      if (this.#periodsSinceTrial++ < wait) return;
      const others = candidates.filter(slots => slots !== this.#best);
      const slots = others[this.#trials % others.length] as number;
      this.#trial = { slots, powerBefore: power, power: null };
      this.#change(true);
    } else if (trial.power === null) {
      trial.power = power;
      this.#change(false);
    } else {
      const gain = Math.log(trial.power) - (Math.log(trial.powerBefore) + Math.log(power)) / 2;
      this.#learn(trial.slots, gain);
      this.#endTrial();
    }
  }

  #learn(slots: number, gain: number): void {
    this.#trials++;
    const known = this.#gains.get(slots);
    if (known === undefined) {
      this.#gains.set(slots, gain);
      return; // one trial may be chance
    }
    const mean = known + smoothing * (gain - known);
    this.#gains.set(slots, mean);
    if (mean < leastGain) return;
    this.#best = slots;
    this.#gains.clear();
    this.#settling = settlingCalls;
  }

  #endTrial(): void {
    this.#trial = null;
    this.#periodsSinceTrial = 0;
    if (this.#isProbing) this.#change(false);
  }

  #change(isProbing: boolean): void {
    this.#isProbing = isProbing;
    this.#settling = settlingCalls;
  }
}
