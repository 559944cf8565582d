/** Who a key belongs to and what it may do. The key itself is not in it. */
export interface KeyRecord {
  /** SHA-256 of the key, hex. */
  hash: string;
  /** First 16 characters of the hash: names the key in logs, limits and the audit trail. */
  id: string;
  name: string;
  role: 'user' | 'admin';
}

/** A limit of so many requests in a window that starts with the first one. */
export interface RateLimit {
  points: number;
  windowSeconds: number;
}

export interface RateLimitOutcome {
  isAllowed: boolean;
  limit: number;
  /** Requests left in the window. */
  remaining: number;
  /** Time until the window ends, in milliseconds. */
  resetMs: number;
}

/**
 * API keys and rate limits shared by all workers. Two drivers: Redis, and the `state` app; one conformance suite
 * (test/integration/state-store.test.ts) holds both. Every method is one round trip and ends within 100 ms or so
 * (`publishKeys`, which no request waits for: 2 s), with its result or RequestError `state_unavailable`.
 */
export interface StateStore {
  /** Makes `keys` the keys of this source (a key file of some host), dropping those it had before. Safe to repeat. */
  publishKeys(source: string, keys: readonly KeyRecord[]): Promise<void>;
  /** The key of any source with this hash; of several sources, the first by name. */
  findKey(hash: string): Promise<KeyRecord | null>;
  /**
   * Charges `cost` requests to a key, whose window starts with the first one. A refused call is charged too, which
   * makes no difference before the window ends. Cost 0 only asks: nothing is charged, and it is always allowed.
   */
  consume(keyId: string, limit: RateLimit, cost: number): Promise<RateLimitOutcome>;
  /** Calls back each time the store was reached anew (it may have forgotten everything), soon when it is up already. */
  onUp(listener: () => void): void;
  close(): Promise<void>;
}
