import { setTimeout as delay } from 'node:timers/promises';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import { RecentMap } from '@er-gateway/shared/state/recent-map';
import type { StateStore } from '@er-gateway/shared/state/store';

/** Failures of one address are counted over this time, over all workers. */
const windowSeconds = 60;
/** So many are old keys and typing errors, seen by 64 workers; each further one makes the wait for an answer longer. */
const freeFailures = 100;
const delayStepMs = 20;
const longestDelayMs = 2000;
/** So many are an attack: until the window ends, keys that are not known to be good are not even looked at. */
const mostFailures = 1000;
/** Answers that may wait at once in one worker: an attack must not fill its memory. */
const mostWaiting = 200;
const rememberedAddresses = 10_000;
const rememberedKeys = 10_000;

/**
 * Keeps guessing of keys slow. An address that presents unknown keys waits longer and longer, and is then refused
 * unseen for the rest of a minute; keys that were good here before go on, so that nobody is locked out by a neighbour behind
 * the same address.
 */
export class FailureGuard {
  readonly #store: Pick<StateStore, 'consume'>;
  readonly #now: () => number;
  /** When an address may be looked at again, on the clock of `now`. */
  readonly #blocked = new RecentMap<string, number>(rememberedAddresses);
  readonly #good = new RecentMap<string, true>(rememberedKeys);
  /** When a wrong key of an address was counted. */
  readonly #counted = new RecentMap<string, number>(rememberedKeys);
  #waiting = 0;

  constructor(store: Pick<StateStore, 'consume'>, now: () => number = () => performance.now()) {
    this.#store = store;
    this.#now = now;
  }

  /** Before a key is looked up. `hash` is the presented key's. Throws RequestError `too_many_failures`. */
  check(address: string, hash: string): void {
    const until = this.#blocked.get(address);
    if (until === undefined || until <= this.#now() || this.#good.get(hash)) return;
    throw new RequestError(
      'too_many_failures',
      'Too many unknown API keys were sent from this address. Try again in a minute, with a key that was good before at once.',
      { retryAfterMs: until - this.#now() },
    );
  }

  /** The key was found. */
  passed(hash: string): void {
    this.#good.set(hash, true);
  }

  /**
   * The key is none: counts it, and resolves when the caller may be told. Who sends the same wrong key again and again guesses
   * nothing: that counts once a worker and minute.
   */
  async failed(address: string, hash: string): Promise<void> {
    const guess = `${address} ${hash}`;
    const countedAt = this.#counted.get(guess);
    if (countedAt !== undefined && this.#now() - countedAt < windowSeconds * 1000) return;
    this.#counted.set(guess, this.#now());
    const failures = { points: Number.MAX_SAFE_INTEGER, windowSeconds };
    const outcome = await this.#store.consume(`failures:${address}`, failures, 1).catch(() => null);
    if (outcome === null) return;
    const count = outcome.limit - outcome.remaining;
    if (count >= mostFailures) this.#blocked.set(address, this.#now() + outcome.resetMs);
    if (count <= freeFailures || this.#waiting >= mostWaiting) return;
    const waitMs = Math.min(longestDelayMs, delayStepMs * (count - freeFailures));
    this.#waiting++;
    await delay(waitMs, undefined, { ref: false });
    this.#waiting--;
  }
}
