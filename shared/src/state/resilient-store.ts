import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../logger.ts';
import { KeyCache, staleMs } from './key-cache.ts';
import { MemoryWorkLimits } from './memory-work-limits.ts';
import { memoryRateLimits } from './rate-limits.ts';
import { RequestLoans } from './request-loans.ts';
import { stateUnavailable } from './state-unavailable.ts';
import {
  type ChargeOutcome,
  type KeyChange,
  type KeyRecord,
  type ListedKey,
  type RateLimit,
  type RateLimitOutcome,
  type StateStore,
  type WorkCost,
  type WorkLimits,
  workUnits,
} from './store.ts';

/** How long a lost store is bridged with what this worker knows, in milliseconds. */
const bridgeMs = staleMs;
/** A store that died is usually back within this time: calls that would be refused wait for it, later ones do not. */
const returnMs = 1500;
const probeIntervalMs = 250;
/** The probe counts something, so that a store that only reads is not taken for a working one. */
const probeKeyId = 'probe';
const probeLimit: RateLimit = { points: 1, windowSeconds: 1 };

export interface ResilientStoreOptions {
  store: StateStore;
  /** Workers that share the limits; each gets its part of them while the store is away. */
  workers: number;
  logger: Logger;
  /** Monotonic clock in milliseconds. */
  now?: () => number;
}

interface Outage {
  since: number;
  /** Aborts when the store answers again, or this object is closed. */
  over: AbortController;
}

/**
 * A store as a worker uses it: with a short memory of keys, requests charged ahead for keys that make many, and bridged
 * while it is away. During an outage nothing is sent to it but probes: keys seen within the last 60 s go on, each with this
 * worker's share of its limit, for 60 s at most. Everything else is refused with `state_unavailable`, never let through and never held for long.
 */
export class ResilientStore implements StateStore {
  readonly #store: StateStore;
  readonly #workers: number;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #keys: KeyCache;
  /** Kept over outages: a store that comes and goes gives no fresh share each time. */
  readonly #localLimits = memoryRateLimits();
  readonly #localWork = new MemoryWorkLimits();
  readonly #loans: RequestLoans;
  readonly #published = new Map<string, readonly KeyRecord[]>();
  #outage: Outage | null = null;

  constructor({ store, workers, logger, now = () => performance.now() }: ResilientStoreOptions) {
    this.#store = store;
    this.#workers = workers;
    this.#logger = logger;
    this.#now = now;
    this.#keys = new KeyCache(now);
    this.#loans = new RequestLoans({ store, workers, now });
    store.onUp(() => void this.#probe());
    store.onKeysChanged(hashes => {
      if (hashes === null) this.#keys.expire();
      else for (const hash of hashes) this.#keys.forget(hash);
    });
  }

  /** Whether the store answered last time; false means that its part is played here. */
  get isStoreUp(): boolean {
    return this.#outage === null;
  }

  /** Also forgets here what was withdrawn, whether or not the store can be told. Its failure starts no outage. */
  publishKeys(source: string, keys: readonly KeyRecord[]): Promise<void> {
    for (const key of [...(this.#published.get(source) ?? []), ...keys]) this.#keys.forget(key.hash);
    this.#published.set(source, keys);
    return this.#store.publishKeys(source, keys);
  }

  async findKey(hash: string): Promise<KeyRecord | null> {
    const recent = this.#keys.recent(hash, this.#store.hearsChanges);
    if (recent !== undefined) return recent;
    if (!this.#outage) {
      try {
        return await this.#askForKey(hash);
      } catch (error) {
        this.#beginOutage(error);
      }
    }
    const stale = this.#keys.stale(hash);
    if (stale) return stale;
    await this.#untilBack();
    return this.#askForKey(hash);
  }

  listKeys(): Promise<ListedKey[]> {
    return this.#store.listKeys();
  }

  changeKeys(change: KeyChange): Promise<boolean> {
    return this.#store.changeKeys(change);
  }

  get hearsChanges(): boolean {
    return this.#store.hearsChanges;
  }

  onKeysChanged(listener: (hashes: readonly string[] | null) => void): void {
    this.#store.onKeysChanged(listener);
  }

  consume(keyId: string, limit: RateLimit, cost: number): Promise<RateLimitOutcome> {
    return this.#consumeFrom(this.#store, keyId, limit, cost);
  }

  /** As `consume`, for what is counted to be limited and for nothing else: a key that makes many requests is charged ahead. */
  consumeRequest(keyId: string, limit: RateLimit, cost: number): Promise<RateLimitOutcome> {
    return this.#consumeFrom(this.#loans, keyId, limit, cost);
  }

  async #consumeFrom(
    counter: Pick<StateStore, 'consume'>,
    keyId: string,
    limit: RateLimit,
    cost: number,
  ): Promise<RateLimitOutcome> {
    if (!this.#outage) {
      try {
        return await counter.consume(keyId, limit, cost);
      } catch (error) {
        this.#beginOutage(error);
      }
    }
    const local = await this.#consumeLocally(keyId, limit, cost);
    if (local) return local;
    await this.#untilBack();
    return this.#store.consume(keyId, limit, cost);
  }

  async charge(keyId: string, limits: WorkLimits, cost: WorkCost): Promise<ChargeOutcome> {
    if (!this.#outage) {
      try {
        return await this.#store.charge(keyId, limits, cost);
      } catch (error) {
        this.#beginOutage(error);
      }
    }
    const local = this.#chargeLocally(keyId, limits, cost);
    if (local) return local;
    await this.#untilBack();
    return this.#store.charge(keyId, limits, cost);
  }

  onUp(listener: () => void): void {
    this.#store.onUp(listener);
  }

  async close(): Promise<void> {
    this.#outage?.over.abort();
    await this.#store.close();
  }

  async #askForKey(hash: string): Promise<KeyRecord | null> {
    const { changes } = this.#keys;
    const record = await this.#store.findKey(hash);
    return changes === this.#keys.changes ? this.#keys.remember(hash, record) : record;
  }

  /** This worker's share of the limit, rounded up; null when it is used up or was used for long enough. */
  async #consumeLocally(keyId: string, limit: RateLimit, cost: number): Promise<RateLimitOutcome | null> {
    if (this.#outage && this.#now() - this.#outage.since >= bridgeMs) return null;
    const share = { ...limit, points: Math.ceil(limit.points / this.#workers) };
    const outcome = await this.#localLimits.consume(keyId, share, cost);
    return outcome.isAllowed ? { ...outcome, limit: limit.points } : null;
  }

  /** The same for all units. */
  #chargeLocally(keyId: string, limits: WorkLimits, cost: WorkCost): ChargeOutcome | null {
    if (this.#outage && this.#now() - this.#outage.since >= bridgeMs) return null;
    const share = { ...limits };
    for (const unit of workUnits) {
      const limit = limits[unit];
      if (limit !== null) share[unit] = Math.ceil(limit / this.#workers);
    }
    const outcome = this.#localWork.charge(keyId, share, cost);
    return outcome.isAllowed ? outcome : null;
  }

  #beginOutage(error: unknown): void {
    if (this.#outage) return;
    const outage = { since: this.#now(), over: new AbortController() };
    this.#outage = outage;
    this.#logger.warn('keys and limits cannot be asked for; this worker goes on with what it knows', {
      forSeconds: bridgeMs / 1000,
      reason: reasonOf(error),
    });
    void this.#probeUntilOver(outage.over.signal);
  }

  async #probeUntilOver(over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      await delay(probeIntervalMs, undefined, { signal: over, ref: false }).catch(() => {});
      await this.#probe();
    }
  }

  /** Ends the outage when the store answers. */
  async #probe(): Promise<void> {
    const outage = this.#outage;
    if (!outage || outage.over.signal.aborted) return;
    try {
      await this.#store.consume(probeKeyId, probeLimit, 1);
    } catch {
      return;
    }
    if (this.#outage !== outage || outage.over.signal.aborted) return;
    this.#outage = null;
    outage.over.abort();
    this.#logger.info('keys and limits are asked for again', {
      afterMs: Math.round(this.#now() - outage.since),
    });
  }

  /** Resolves when the store is back; throws `state_unavailable` when that takes longer than the usual restart. */
  async #untilBack(): Promise<void> {
    if (!this.#outage) return;
    const { since, over } = this.#outage;
    const leftMs = since + returnMs - this.#now();
    if (leftMs > 0) await delay(leftMs, undefined, { signal: over.signal }).catch(() => {});
    if (this.#outage) throw stateUnavailable(new Error('the store is away'));
  }
}

/** The store's own words: what a caller is told says less. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return cause instanceof Error ? cause.message : String(cause);
}
