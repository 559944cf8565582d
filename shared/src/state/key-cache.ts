import { RecentMap } from './recent-map.ts';
import type { KeyRecord } from './store.ts';

/** How long an answer of the store is used without asking again, in milliseconds. */
const foundMs = 2000;
const unknownMs = 1000;
/** How long a found key is good while the store cannot be asked, in milliseconds. */
export const staleMs = 60_000;
const capacity = 10_000;

/** What a worker knows of keys from the store. `now` is a monotonic clock in milliseconds. */
export class KeyCache {
  readonly #now: () => number;
  readonly #found = new RecentMap<string, { record: KeyRecord; at: number }>(capacity);
  /** Apart from the found ones, so that a flood of invented keys evicts none of them. */
  readonly #unknown = new RecentMap<string, number>(capacity);

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The store's answer when it is recent: a key, or null for none; undefined when the store must be asked. */
  recent(hash: string): KeyRecord | null | undefined {
    const found = this.#found.get(hash);
    if (found && this.#now() - found.at < foundMs) return found.record;
    const unknownAt = this.#unknown.get(hash);
    if (unknownAt !== undefined && this.#now() - unknownAt < unknownMs) return null;
    return undefined;
  }

  /** The key as the store last said, at most 60 s ago; for when it cannot be asked. */
  stale(hash: string): KeyRecord | null {
    const found = this.#found.get(hash);
    return found && this.#now() - found.at < staleMs ? found.record : null;
  }

  /** Keeps the store's answer, and returns it. */
  remember(hash: string, record: KeyRecord | null): KeyRecord | null {
    if (record) {
      this.#unknown.delete(hash);
      this.#found.set(hash, { record, at: this.#now() });
    } else {
      this.#found.delete(hash);
      this.#unknown.set(hash, this.#now());
    }
    return record;
  }

  forget(hash: string): void {
    this.#found.delete(hash);
    this.#unknown.delete(hash);
  }
}
