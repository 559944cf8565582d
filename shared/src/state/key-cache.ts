import { RecentMap } from './recent-map.ts';
import type { KeyRecord } from './store.ts';

/** How long an answer of the store is used without asking again, in milliseconds: `heard` while it tells of changes. */
const foundMs = 2000;
const heardMs = 30_000;
const unknownMs = 1000;
/** How long a found key is good while the store cannot be asked, in milliseconds. */
export const staleMs = 60_000;
const capacity = 10_000;

/** What a worker knows of keys from the store. `now` is a monotonic clock in milliseconds. */
export class KeyCache {
  readonly #now: () => number;
  readonly #found = new RecentMap<string, { record: KeyRecord; at: number; era: number }>(capacity);
  /** Apart from the found ones, so that a flood of invented keys evicts none of them. */
  readonly #unknown = new RecentMap<string, number>(capacity);
  /** Answers of earlier ones are asked for again. */
  #era = 0;
  /** Changes heard of so far: an answer that was on its way meanwhile may be an old one. */
  changes = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The store's answer when it is recent: a key, or null for none; undefined when the store must be asked. */
  recent(hash: string, hearsChanges: boolean): KeyRecord | null | undefined {
    const found = this.#found.get(hash);
    const forMs = hearsChanges ? heardMs : foundMs;
    if (found && found.era === this.#era && this.#now() - found.at < forMs) return found.record;
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
      this.#found.set(hash, { record, at: this.#now(), era: this.#era });
    } else {
      this.#found.delete(hash);
      this.#unknown.set(hash, this.#now());
    }
    return record;
  }

  /** Everything is to be asked for again; what is known still bridges an outage. */
  expire(): void {
    this.changes++;
    this.#era++;
    this.#unknown.clear();
  }

  forget(hash: string): void {
    this.changes++;
    this.#found.delete(hash);
    this.#unknown.delete(hash);
  }
}
