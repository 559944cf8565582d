import type { RateLimit, RateLimitOutcome, StateStore } from './store.ts';

/** Over which time it is looked at how much a key asks for, and after which a loan that is not used goes back, in milliseconds. */
const loanMs = 250;
/** Fewer requests are not worth a loan. */
const smallestLoan = 8;
/** All workers together are lent a sixteenth of what is left at most, so that nobody is refused for what lies elsewhere. */
const lentShare = 1 / 16;
/** Trips that giving back may cost. Fewer were not saved: it would make more trips than requests. */
const tripsBack = 2;
/** What is left of a loan is not given back this shortly before its window ends: it could come to the next one. */
const lastMomentMs = 1000;

export interface RequestLoansOptions {
  store: Pick<StateStore, 'consume'>;
  /** Workers that share the limits. */
  workers: number;
  /** Monotonic clock in milliseconds. */
  now?: () => number;
}

/** What this worker knows of a key that asks often: requests that the store has charged and that were not made yet. */
interface Loan {
  limit: RateLimit;
  left: number;
  /** What others could still charge, by the store's last word. */
  remaining: number;
  windowEndsAt: number;
  usedAt: number;
  /** Requests that waited for no trip, since something was given back. */
  tripsSaved: number;
}

/**
 * Charges requests one by one while a key asks seldom or its limit is near. A key that asks often and has plenty left is
 * charged ahead, together with one of its requests, for about as many as it makes in a quarter of a second: those wait for
 * no trip to the store. What it did not use is given back after that time. There are never more trips than requests, and never more
 * requests than the limit.
 */
export class RequestLoans {
  readonly #store: Pick<StateStore, 'consume'>;
  readonly #workers: number;
  readonly #now: () => number;
  readonly #loans = new Map<string, Loan>();
  readonly #borrowing = new Set<string>();
  /** Requests by key, in this period and the one before. */
  #recent = new Map<string, number>();
  #before = new Map<string, number>();
  #periodSince = Number.NEGATIVE_INFINITY;

  constructor({ store, workers, now = () => performance.now() }: RequestLoansOptions) {
    this.#store = store;
    this.#workers = workers;
    this.#now = now;
  }

  /** As the store's: see StateStore.consume. */
  async consume(keyId: string, limit: RateLimit, cost: number): Promise<RateLimitOutcome> {
    if (cost !== 1) return this.#store.consume(keyId, limit, cost);
    const wanted = this.#countRequest(keyId);
    const loan = this.#loanOf(keyId, limit);
    if (loan === null || loan.left === 0) {
      if (wanted < smallestLoan) return this.#store.consume(keyId, limit, 1);
      return this.#borrow(keyId, limit, wanted, loan?.remaining ?? 0);
    }
    loan.left--;
    loan.tripsSaved++;
    loan.usedAt = this.#now();
    return {
      isAllowed: true,
      limit: limit.points,
      remaining: loan.remaining + loan.left,
      resetMs: loan.windowEndsAt - loan.usedAt,
    };
  }

  /** How many requests a key makes in the time of a loan, this one included. */
  #countRequest(keyId: string): number {
    const periods = (this.#now() - this.#periodSince) / loanMs;
    if (periods >= 1) {
      this.#before = periods < 2 ? this.#recent : new Map();
      this.#recent = new Map();
      this.#periodSince = this.#now();
    }
    const count = (this.#recent.get(keyId) ?? 0) + 1;
    this.#recent.set(keyId, count);
    return Math.max(count, this.#before.get(keyId) ?? 0);
  }

  /** What is known of a key in the window that is open; null when its limit was changed, which counts at once. */
  #loanOf(keyId: string, { points, windowSeconds }: RateLimit): Loan | null {
    const loan = this.#loans.get(keyId);
    if (!loan || this.#now() >= loan.windowEndsAt) return null;
    return loan.limit.points === points && loan.limit.windowSeconds === windowSeconds ? loan : null;
  }

  /** Charges a request, and more of them with it when the key has plenty left. */
  async #borrow(
    keyId: string,
    limit: RateLimit,
    wanted: number,
    remaining: number,
  ): Promise<RateLimitOutcome> {
    const points = Math.min(wanted, Math.floor((remaining * lentShare) / this.#workers));
    // Of requests that come together one borrows for all.
    const isAhead = points >= smallestLoan && !this.#borrowing.has(keyId);
    const ahead = isAhead ? points : 0;
    if (isAhead) this.#borrowing.add(keyId);
    const askedAt = this.#now();
    try {
      const outcome = await this.#store.consume(keyId, limit, 1 + ahead);
      if (!outcome.isAllowed && isAhead) {
        // Others have used up what there was meanwhile: as if nothing had been asked.
        await this.#store.consume(keyId, limit, -1 - ahead);
        return await this.#store.consume(keyId, limit, 1);
      }
      const loan = this.#update(keyId, limit, outcome.remaining, askedAt + outcome.resetMs);
      loan.left += ahead;
      return { ...outcome, remaining: outcome.remaining + loan.left };
    } finally {
      if (isAhead) this.#borrowing.delete(keyId);
    }
  }

  /**
   * Writes down the store's last word. `windowEndsAt`: by the time of the question, so that the window that was charged ends
   * then or a little later.
   */
  #update(keyId: string, limit: RateLimit, remaining: number, windowEndsAt: number): Loan {
    const usedAt = this.#now();
    const known = this.#loanOf(keyId, limit);
    if (known !== null && windowEndsAt - known.windowEndsAt < lastMomentMs) {
      return Object.assign(known, { remaining, usedAt });
    }
    const loan = { limit, left: 0, remaining, windowEndsAt, usedAt, tripsSaved: 0 };
    this.#loans.set(keyId, loan);
    this.#endLater(keyId, loan);
    return loan;
  }

  /** Forgets a loan that is not used any more, and gives back what is left. */
  #endLater(keyId: string, loan: Loan): void {
    setTimeout(() => {
      if (this.#loans.get(keyId) !== loan) return;
      const now = this.#now();
      const isOver = now >= loan.windowEndsAt;
      const isInUse = now - loan.usedAt < loanMs;
      const isDear = loan.left > 0 && loan.tripsSaved < tripsBack;
      if (!isOver && (isInUse || isDear)) return this.#endLater(keyId, loan);
      this.#loans.delete(keyId);
      if (loan.left > 0 && loan.windowEndsAt - now >= lastMomentMs) {
        this.#store.consume(keyId, loan.limit, -loan.left).catch(() => {}); // It stays charged until the window ends.
      }
    }, loanMs).unref();
  }
}
