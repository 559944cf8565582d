import {
  type KeyChange,
  type KeyRecord,
  type ListedKey,
  managedSource,
} from '@er-gateway/shared/state/store';

/**
 * API keys by source, in memory. Whoever published them does so again after a restart; managed keys are kept by whoever
 * gives and takes them here (see ManagedKeyFile).
 */
export class MemoryKeys {
  readonly #sources = new Map<string, ReadonlyMap<string, KeyRecord>>();
  readonly #keepManaged: (keys: readonly KeyRecord[]) => void;
  readonly #onChange: (hashes: string[]) => void;

  /** `keepManaged` writes managed keys down, and throws when it cannot; `onChange` hears of keys that came, changed or went. */
  constructor(
    managed: readonly KeyRecord[] = [],
    keepManaged: (keys: readonly KeyRecord[]) => void = () => {},
    onChange: (hashes: string[]) => void = () => {},
  ) {
    this.#keepManaged = keepManaged;
    this.#onChange = onChange;
    if (managed.length > 0) this.#sources.set(managedSource, byHash(managed));
  }

  get sourceCount(): number {
    return this.#sources.size;
  }

  get keyCount(): number {
    return new Set([...this.#sources.values()].flatMap(keys => [...keys.keys()])).size;
  }

  /** Makes `keys` the keys of this source, dropping those it had before. */
  publish(source: string, keys: readonly KeyRecord[]): void {
    if (source === managedSource) throw new Error(`${managedSource} is no source`);
    const before = this.#sources.get(source) ?? new Map<string, KeyRecord>();
    const now = byHash(keys);
    this.#sources.set(source, now);
    const hashes = new Set([...before.keys(), ...now.keys()]);
    this.#tell([...hashes].filter(hash => !isSame(before.get(hash), now.get(hash))));
  }

  /** Changes managed keys and keeps them. False: one of those seen is not so any more. */
  change({ put, drop, seen }: KeyChange): boolean {
    const managed = new Map(this.#sources.get(managedSource));
    // A call that is sent again, because its answer was lost, finds its own work.
    if (put.every(key => isSame(managed.get(key.hash), key)) && !drop.some(hash => managed.has(hash)))
      return true;
    if (seen.some(key => !isSame(managed.get(key.hash), key))) return false;
    for (const key of put) managed.set(key.hash, key);
    for (const hash of drop) managed.delete(hash);
    this.#keepManaged([...managed.values()]);
    this.#sources.set(managedSource, managed);
    this.#tell([...put.map(({ hash }) => hash), ...drop]);
    return true;
  }

  /** The key with this hash; of several sources, the first by name. */
  find(hash: string): KeyRecord | null {
    for (const source of [...this.#sources.keys()].sort()) {
      const key = this.#sources.get(source)?.get(hash);
      if (key) return key;
    }
    return null;
  }

  list(): ListedKey[] {
    return [...this.#sources].flatMap(([source, keys]) => [...keys.values()].map(key => ({ source, key })));
  }

  #tell(hashes: string[]): void {
    if (hashes.length > 0) this.#onChange(hashes);
  }
}

const byHash = (keys: readonly KeyRecord[]) => new Map(keys.map(key => [key.hash, key]));

function isSame(one: KeyRecord | undefined, other: KeyRecord | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
