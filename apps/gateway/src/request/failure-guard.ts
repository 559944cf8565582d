import { isIPv6 } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import { RecentMap } from '@er-gateway/shared/state/recent-map';
import type { ResilientStore } from '@er-gateway/shared/state/resilient-store';

/** Failures of one address are counted over this time, over all workers. */
const windowSeconds = 60;
/** So many are old keys and typing errors, seen by 64 workers; each further one makes the wait for an answer longer. */
const freeFailures = 100;
const delayStepMs = 20;
const longestDelayMs = 2000;
/** So many are an attack: until the window ends, unknown keys are refused without a word on whether they are. */
const mostFailures = 1000;
/** Answers that may wait at once in one worker: an attack must not fill its memory. */
const mostWaiting = 200;
const rememberedAddresses = 10_000;
const rememberedKeys = 10_000;

/** What the guard asks of a store. */
export type FailureStore = Pick<ResilientStore, 'consume' | 'isStoreUp'>;

/**
 * Keeps guessing of keys slow. An address (of IPv6 its /64, which is one customer's) that presents unknown keys waits longer
 * and longer, and is then refused for the rest of a minute. Good keys go on: a key is looked up before the guard is asked,
 * so that nobody is locked out by a neighbour behind the same address.
 */
export class FailureGuard {
  readonly #store: FailureStore;
  readonly #now: () => number;
  /** When an address may be looked at again, on the clock of `now`. */
  readonly #blocked = new RecentMap<string, number>(rememberedAddresses);
  /** When a wrong key of an address was counted. */
  readonly #counted = new RecentMap<string, number>(rememberedKeys);
  #waiting = 0;

  constructor(store: FailureStore, now: () => number = () => performance.now()) {
    this.#store = store;
    this.#now = now;
  }

  /**
   * The key is none: counts it, and resolves when the caller may be told. Who sends the same wrong key again and again guesses
   * nothing: that counts once a worker and minute. Throws RequestError `too_many_failures`.
   */
  async failed(address: string, hash: string): Promise<void> {
    const network = networkOf(address);
    this.#checkBlocked(network);
    const guess = `${network} ${hash}`;
    const countedAt = this.#counted.get(guess);
    if (countedAt !== undefined && this.#now() - countedAt < windowSeconds * 1000) return;
    this.#counted.set(guess, this.#now());
    const failures = { points: Number.MAX_SAFE_INTEGER, windowSeconds };
    const outcome = await this.#store.consume(`failures:${network}`, failures, 1).catch(() => null);
    // Without the store there is only this worker's part of a count, which is no count.
    if (outcome === null || !this.#store.isStoreUp) return;
    const count = outcome.limit - outcome.remaining;
    if (count >= mostFailures) this.#blocked.set(network, this.#now() + outcome.resetMs);
    if (count <= freeFailures || this.#waiting >= mostWaiting) return;
    const waitMs = Math.min(longestDelayMs, delayStepMs * (count - freeFailures));
    this.#waiting++;
    await delay(waitMs, undefined, { ref: false });
    this.#waiting--;
  }

  #checkBlocked(network: string): void {
    const until = this.#blocked.get(network);
    if (until === undefined || until <= this.#now()) return;
    throw new RequestError(
      'too_many_failures',
      'Too many unknown API keys were sent from this address. Try again in a minute, with a good key at once.',
      { retryAfterMs: until - this.#now() },
    );
  }
}

/** Groups of an IPv6 address that name a network. */
const networkGroups = 4;

/** The /64 of an IPv6 address; any other address as it is. */
function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = '', tail] = (address.split('%', 1)[0] ?? '').split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail ? tail.split(':') : [];
  // An IPv4 address at the end stands for two groups.
  const shown = before.length + after.length + (address.includes('.') ? 1 : 0);
  const groups = [...before, ...Array<string>(Math.max(0, 8 - shown)).fill('0'), ...after];
  const network = groups.slice(0, networkGroups).map(group => Number.parseInt(group, 16).toString(16));
  return `${network.join(':')}::/64`;
}
