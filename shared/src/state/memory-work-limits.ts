import { type ChargeOutcome, type WorkCost, type WorkLimits, workUnits } from './store.ts';

interface Window {
  used: WorkCost;
  /** On the clock of `now`. */
  endsAt: number;
}

/** Expired windows are dropped when there are more than this many, at most each second. */
const sweepAbove = 10_000;
const sweepEveryMs = 1000;

/** What keys used up of their limits, counted in this process. `now` is a monotonic clock in milliseconds. */
export class MemoryWorkLimits {
  readonly #now: () => number;
  readonly #windows = new Map<string, Window>();
  #sweptAt = Number.NEGATIVE_INFINITY;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** See StateStore.charge. */
  charge(keyId: string, limits: WorkLimits, cost: WorkCost): ChargeOutcome {
    const now = this.#now();
    const known = this.#windows.get(keyId);
    const open = known !== undefined && known.endsAt > now ? known : null;
    const used = open?.used ?? { requests: 0, inputs: 0, tokens: 0 };
    const isAllowed = workUnits.every(unit => {
      const limit = limits[unit];
      return limit === null || cost[unit] <= 0 || used[unit] + cost[unit] <= limit;
    });
    const opens = workUnits.some(unit => cost[unit] > 0);
    if (!isAllowed || (!open && !opens)) return { isAllowed, used, resetMs: open ? open.endsAt - now : 0 };
    const after = {
      requests: Math.max(0, used.requests + cost.requests),
      inputs: Math.max(0, used.inputs + cost.inputs),
      tokens: Math.max(0, used.tokens + cost.tokens),
    };
    const endsAt = open?.endsAt ?? now + limits.windowSeconds * 1000;
    this.#windows.set(keyId, { used: after, endsAt });
    if (this.#windows.size > sweepAbove && now - this.#sweptAt >= sweepEveryMs) this.#sweep(now);
    return { isAllowed, used: after, resetMs: endsAt - now };
  }

  #sweep(now: number): void {
    this.#sweptAt = now;
    for (const [keyId, { endsAt }] of this.#windows) if (endsAt <= now) this.#windows.delete(keyId);
  }
}
