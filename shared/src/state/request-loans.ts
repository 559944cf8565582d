import type { RateLimit, RateLimitOutcome, StateStore } from './store.ts';

/** How long a worker goes by what it was lent, and over which time it looks at how much a key asks for, in milliseconds. */
const loanMs = 250;
/** Fewer requests are not worth a loan. */
const smallestLoan = 8;
/** All workers together are lent a sixteenth of what is left at most, so that nobody is refused for what lies elsewhere. */
const lentShare = 1 / 16;
/** What is left of a loan is not given back this shortly before its window ends: it could come to the next one. */
const lastMomentMs = 1000;

export interface RequestLoansOptions {
  store: Pick<StateStore, 'consume'>;
  /** Workers that share the limits. */
  workers: number;
  /** Monotonic clock in milliseconds. */
  now?: () => number;
}

/** Requests of one key that the store has charged and that were not made yet. */
interface Loan {
  limit: RateLimit;
  left: number;
  /** What others could still charge, by the store's last word. */
  remaining: number;
  endsAt: number;
  windowEndsAt: number;
}

/**
 * Charges requests one by one while a key asks seldom or its limit is near, which is exact at once. A key that asks often
 * and has plenty left is charged ahead, in the background, for about as many requests as it makes in a quarter of a second:
 * those wait for no trip to the store. What it did not use is given back after that time, so the count is exact again.
 */
export class RequestLoans {
  readonly #store: Pick<StateStore, 'consume'>;
  readonly #workers: number;
  readonly #now: () => number;
  readonly #loans = new Map<string, Loan>();
  readonly #asking = new Set<string>();
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
    const loan = this.#openLoan(keyId, limit);
    if (loan === null) {
      const outcome = await this.#store.consume(keyId, limit, 1);
      if (outcome.isAllowed) this.#borrow(keyId, limit, wanted, outcome.remaining);
      return outcome;
    }
    loan.left--;
    if (loan.left <= wanted / 2) this.#borrow(keyId, limit, wanted - loan.left, loan.remaining);
    return {
      isAllowed: true,
      limit: limit.points,
      remaining: loan.remaining + loan.left,
      resetMs: loan.windowEndsAt - this.#now(),
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

  #openLoan(keyId: string, limit: RateLimit): Loan | null {
    const loan = this.#loans.get(keyId);
    if (!loan || loan.left === 0 || this.#now() >= Math.min(loan.endsAt, loan.windowEndsAt)) return null;
    // A limit that was changed counts at once.
    return loan.limit.points === limit.points && loan.limit.windowSeconds === limit.windowSeconds
      ? loan
      : null;
  }

  /** Asks for requests ahead, without anybody waiting. */
  #borrow(keyId: string, limit: RateLimit, wanted: number, remaining: number): void {
    const points = Math.min(wanted, Math.floor((remaining * lentShare) / this.#workers));
    if (points < smallestLoan || this.#asking.has(keyId)) return;
    this.#asking.add(keyId);
    const askedAt = this.#now();
    this.#store
      .consume(keyId, limit, points)
      .then(
        // By the time of the question: the window that was charged ends then or a little later.
        ({ isAllowed, remaining: rest, resetMs }) => {
          const windowEndsAt = askedAt + resetMs;
          const lent = { limit, left: points, remaining: rest, endsAt: this.#now() + loanMs, windowEndsAt };
          if (isAllowed) this.#take(keyId, lent);
          else this.#giveBack(keyId, lent);
        },
        () => {}, // The next request that needs the store finds out by itself.
      )
      .finally(() => this.#asking.delete(keyId));
  }

  #take(keyId: string, lent: Loan): void {
    const open = this.#openLoan(keyId, lent.limit);
    if (open !== null && lent.windowEndsAt - open.windowEndsAt < lastMomentMs) lent.left += open.left;
    else this.#end(keyId);
    this.#loans.set(keyId, lent);
    setTimeout(() => {
      if (this.#loans.get(keyId) === lent) this.#end(keyId);
    }, loanMs).unref();
  }

  #end(keyId: string): void {
    const loan = this.#loans.get(keyId);
    if (!loan) return;
    this.#loans.delete(keyId);
    this.#giveBack(keyId, loan);
  }

  #giveBack(keyId: string, { limit, left, windowEndsAt }: Loan): void {
    if (left === 0 || windowEndsAt - this.#now() < lastMomentMs) return;
    this.#store.consume(keyId, limit, -left).catch(() => {}); // It stays charged until the window ends.
  }
}
