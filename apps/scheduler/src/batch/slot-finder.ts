/** Used while nothing better is known. */
const usual = 2;
/**
 * Numbers of calls under way that are tried, in this order. A server that computes one batch at a time (a CPU) wants few; one whose steps
 * take in whatever has come (vLLM on a GPU) answers random arrivals as soon as it can only when each may have a call of its own.
 */
const candidates = [16, 4, 1, 2];
/** Numbers up to this are for any load; a larger one is for no more than three items a call: of more, fewer calls make batches. */
const mostForAnyLoad = 4;
/** With fewer items in the system nothing is tried, and each may have a call of its own. */
const fewItems = 4;
/** A period lasts this many mean calls and items, but at least this long, in milliseconds. */
const periodCalls = 12;
const periodItems = 100;
const leastPeriodMs = 400;
/** Calls after a change that still show the setting before it: at least so many, and all that were under way. */
const leastSettlingCalls = 3;
/** A trial ends early when items take this many times as long as before, by the mean of at least so many calls. */
const harm = 1.5;
const leastCallsOfTrial = 3;
/** Periods before a candidate's next trial double with each that it lost, up to this many; the usual number comes back sooner. */
const longestPause = 32;
const longestPauseOfUsual = 8;
/** After so long without enough to do, in milliseconds, the load is another one: nothing is known of it. */
const forgetsAfterMs = 30_000;
/** Weight of the newest trial in the running mean of a candidate. */
const smoothing = 0.3;
/** How much better a candidate must be, as the logarithm of a ratio: trials are noisy, and changes are not free. */
const leastGain = Math.log(1.05);
/** The same after a single trial, which may be chance. */
const plainGain = Math.log(1.35);

/** A call that ended well. */
export interface CountedCall {
  tokens: number;
  items: number;
  durationMs: number;
  /** Sum over its items of the milliseconds since each came. */
  inSystemMs: number;
}

/** What is known of a candidate beside the best. */
interface Rival {
  /** Mean logarithm of its power over the best's; null before its first trial. */
  gain: number | null;
  /** Periods until its next trial, and after the one that comes then. */
  wait: number;
  pause: number;
}

/** What a period showed. */
interface Measured {
  power: number;
  /** Mean milliseconds that an item was in the system. */
  itemMs: number;
  itemsInSystem: number;
}

/**
 * Finds out, while running, how many calls a server should have under way at once.
 *
 * Few calls make large batches (vLLM's cost of a call is shared by more), several keep it busy while the next is made
 * ready; which is better depends on model, machine and load. Every now and then another number is tried for a period and
 * compared with the periods before and after it, so that a load that changes meanwhile meets both. What is compared is
 * power, throughput divided by time in the system (Giessler et al. 1978, Kleinrock 1979): with a fixed number of callers it grows with
 * throughput, at a given arrival rate with shorter waits.
 *
 * A trial can harm: with one call under way a six-layer model on the CPU answered random arrivals at half of its capacity after 190 ms
 * instead of 70. So what loses is tried ever more rarely, and a trial that goes badly ends at once.
 */
export class SlotFinder {
  #best = usual;
  #rivals = rivalsOf(usual);
  /** What is tried now; `power` is null until its own period is over. */
  #trial: { slots: number; before: Measured; power: number | null } | null = null;
  /** Whether there is too little to do for a choice to matter. */
  #isResting = false;
  #settling = 0;
  #lastJudgedAt = Number.NEGATIVE_INFINITY;
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
    if (this.#isResting) return fewItems;
    return this.#trial?.power === null ? this.#trial.slots : this.#best;
  }

  /** Counts a call. `now` in milliseconds of any clock that does not jump. */
  ended(now: number, call: CountedCall): void {
    if (this.#settling > 0) {
      this.#settling--;
      this.#period = null;
      // Calls of seconds may take longer to settle than what counts as a lull.
      if (now - call.durationMs - this.#lastJudgedAt <= forgetsAfterMs) this.#lastJudgedAt = now;
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
    const itemMs = period.inSystemMs / period.items;
    const power = period.tokens / elapsedMs / itemMs;
    const trial = this.#trial;
    if (trial?.power === null && period.calls >= leastCallsOfTrial && itemMs > harm * trial.before.itemMs) {
      this.#period = null;
      this.#lastJudgedAt = now;
      // A few calls tell that it is worse, and not how much.
      this.#conclude(trial.slots, -Math.log(harm));
    } else if (
      period.items >= periodItems &&
      elapsedMs >= Math.max(leastPeriodMs, (periodCalls * period.busyMs) / period.calls)
    ) {
      this.#period = null;
      // Little's law: time spent in the system per time that passed is the mean number of items in it.
      const itemsInSystem = period.inSystemMs / elapsedMs;
      if (itemsInSystem < fewItems) this.#rest();
      else this.#judge(now, period.startedAt, { power, itemMs, itemsInSystem });
    }
  }

  #rest(): void {
    const rival = this.#trial === null ? undefined : this.#rivals.get(this.#trial.slots);
    if (rival) rival.wait = rival.pause;
    this.#trial = null;
    this.#isResting = true;
  }

  #judge(now: number, startedAt: number, measured: Measured): void {
    const isNewLoad = startedAt - this.#lastJudgedAt > forgetsAfterMs;
    this.#lastJudgedAt = now;
    if (isNewLoad) this.#choose(usual);
    if (isNewLoad || this.#isResting) {
      this.#isResting = false;
      this.#settle(fewItems);
    } else if (!isFor(measured.itemsInSystem, this.#best)) {
      this.#settle(this.#best);
      this.#choose(usual);
    } else if (this.#trial === null) {
      this.#tryNext(measured);
    } else if (this.#trial.power === null) {
      this.#trial.power = measured.power;
      this.#settle(this.#trial.slots);
    } else {
      const { slots, power, before } = this.#trial;
      this.#conclude(slots, Math.log(power) - (Math.log(before.power) + Math.log(measured.power)) / 2);
    }
  }

  #tryNext(before: Measured): void {
    for (const rival of this.#rivals.values()) rival.wait--;
    for (const [slots, { wait }] of this.#rivals) {
      if (wait > 0 || !isFor(before.itemsInSystem, slots)) continue;
      this.#trial = { slots, before, power: null };
      this.#settle(this.#best);
      return;
    }
  }

  /** A trial has ended; `gain` is a logarithm. */
  #conclude(slots: number, gain: number): void {
    this.#trial = null;
    this.#settle(slots);
    const rival = this.#rivals.get(slots);
    if (!rival) return;
    const neededGain = rival.gain === null ? plainGain : leastGain;
    rival.gain = rival.gain === null ? gain : rival.gain + smoothing * (gain - rival.gain);
    if (rival.gain >= neededGain) {
      this.#choose(slots);
      return;
    }
    const longest = slots === usual ? longestPauseOfUsual : longestPause;
    rival.pause = gain < leastGain ? Math.min(longest, 2 * rival.pause) : 1;
    rival.wait = rival.pause;
  }

  #choose(slots: number): void {
    this.#best = slots;
    this.#rivals = rivalsOf(slots);
    this.#trial = null;
  }

  /** After a change from so many calls under way. */
  #settle(slots: number): void {
    this.#settling = Math.max(leastSettlingCalls, slots);
  }
}

const isFor = (itemsInSystem: number, slots: number) => slots <= mostForAnyLoad || itemsInSystem <= 3 * slots;

const rivalsOf = (best: number): Map<number, Rival> =>
  new Map(
    candidates.filter(slots => slots !== best).map(slots => [slots, { gain: null, wait: 1, pause: 1 }]),
  );
