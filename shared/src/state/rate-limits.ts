import { type RateLimiterAbstract, RateLimiterMemory } from 'rate-limiter-flexible';
import type { RateLimit, RateLimitOutcome } from './store.ts';

/**
 * Rate limits on rate-limiter-flexible. One limiter a window length: the points belong to the question, not to the
 * counter, so a changed limit judges what was counted already.
 */
export class RateLimits {
  readonly #createLimiter: (windowSeconds: number) => RateLimiterAbstract;
  readonly #limiters = new Map<number, RateLimiterAbstract>();

  constructor(createLimiter: (windowSeconds: number) => RateLimiterAbstract) {
    this.#createLimiter = createLimiter;
  }

  /** See StateStore.consume. */
  async consume(keyId: string, limit: RateLimit, cost: number): Promise<RateLimitOutcome> {
    const limiter = this.#limiter(limit.windowSeconds);
    // `penalty` counts as `consume` does, and leaves the judgement to us.
    const counted = cost > 0 ? await limiter.penalty(keyId, cost) : await limiter.get(keyId);
    // No window is open. `reward` would begin one, below 0.
    if (counted === null || counted.msBeforeNext <= 0) {
      return { isAllowed: true, limit: limit.points, remaining: limit.points, resetMs: 0 };
    }
    const { consumedPoints: used, msBeforeNext: resetMs } =
      cost < 0 ? await limiter.reward(keyId, Math.min(-cost, counted.consumedPoints)) : counted;
    return {
      isAllowed: cost <= 0 || used <= limit.points,
      limit: limit.points,
      remaining: Math.max(0, limit.points - used),
      resetMs,
    };
  }

  #limiter(windowSeconds: number): RateLimiterAbstract {
    const known = this.#limiters.get(windowSeconds);
    if (known) return known;
    const limiter = this.#createLimiter(windowSeconds);
    this.#limiters.set(windowSeconds, limiter);
    return limiter;
  }
}

/** Rate limits counted in this process. */
export function memoryRateLimits(): RateLimits {
  // points: required, but only `consume` reads it.
  return new RateLimits(windowSeconds => new RateLimiterMemory({ points: 1, duration: windowSeconds }));
}
