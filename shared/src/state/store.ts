import type { KeyGrants } from '../keys/key-grants.ts';

/** Who a key belongs to and what it may do. The key itself is not in it. */
export interface KeyRecord extends KeyGrants {
  /** SHA-256 of the key, hex. */
  hash: string;
  /**
   * Names the key in logs, limits and the audit trail: 16 hex digits. Of a key in a key file the first of its hash. All
   * texts of a key that was rotated have the same one.
   */
  id: string;
  name: string;
  role: 'user' | 'admin';
  /** When its text was made, ISO 8601; of keys made here. */
  created_at?: string;
  /** Of a key text that was replaced by another: when it ends, ISO 8601. */
  grace_ends_at?: string;
}

/** Owner of the keys that were made through `/admin/keys`; all other sources are key files. */
export const managedSource = 'managed';

/** A key and where it comes from. */
export interface ListedKey {
  source: string;
  key: KeyRecord;
}

/** A change of managed keys, all of it or nothing. */
export interface KeyChange {
  put: readonly KeyRecord[];
  /** Hashes of keys that end. */
  drop: readonly string[];
  /** Managed keys as the change takes them to be: nothing is changed when one of them is not so any more. */
  seen: readonly KeyRecord[];
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

/** What a key may use up in a window that starts with its first charge; null is no limit. */
export interface WorkLimits {
  windowSeconds: number;
  requests: number | null;
  inputs: number | null;
  tokens: number | null;
}

/** Of each unit so much. Below 0 gives back. */
export interface WorkCost {
  requests: number;
  inputs: number;
  tokens: number;
}

/** The units of a cost, in the order in which they are shown. */
export const workUnits = ['requests', 'inputs', 'tokens'] as const satisfies (keyof WorkCost)[];
/** One of them. */
export type WorkUnit = (typeof workUnits)[number];

export interface ChargeOutcome {
  isAllowed: boolean;
  /** What is used up in the window, this charge included when it was allowed. */
  used: WorkCost;
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
  /** Every key of every source. */
  listKeys(): Promise<ListedKey[]>;
  /**
   * Changes managed keys, which outlive restarts of the store. False: they are not as `seen` says; look again. Safe to
   * repeat: what is so already is done, so a change that only drops says nothing about texts that came in their place.
   */
  changeKeys(change: KeyChange): Promise<boolean>;
  /**
   * Whether changes of keys are told as they happen. While it is not, what `findKey` said must be asked for again soon.
   */
  readonly hearsChanges: boolean;
  /** Calls back with the hashes of keys that changed; with null when any may have (news were missed). */
  onKeysChanged(listener: (hashes: readonly string[] | null) => void): void;
  /**
   * Charges `cost` requests to a key, whose window starts with the first one. A refused call is charged too, which
   * makes no difference before the window ends. Cost 0 only asks: nothing is charged, and it is always allowed. Below 0
   * gives back what was charged in the window that is open; this alone may be two round trips.
   */
  consume(keyId: string, limit: RateLimit, cost: number): Promise<RateLimitOutcome>;
  /**
   * Charges all units of a key together, or none: allowed when every unit that costs something stays within its limit. A
   * refused charge costs nothing. Of what is given back nothing falls below 0.
   */
  charge(keyId: string, limits: WorkLimits, cost: WorkCost): Promise<ChargeOutcome>;
  /** Calls back each time the store was reached anew (it may have forgotten everything), soon when it is up already. */
  onUp(listener: () => void): void;
  close(): Promise<void>;
}
