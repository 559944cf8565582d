import type { KeyRecord } from '@er-gateway/shared/state/store';

/** API keys by source, in memory. Whoever published them does so again after a restart. */
export class MemoryKeys {
  readonly #sources = new Map<string, ReadonlyMap<string, KeyRecord>>();

  get sourceCount(): number {
    return this.#sources.size;
  }

  get keyCount(): number {
    return new Set([...this.#sources.values()].flatMap(keys => [...keys.keys()])).size;
  }

  /** Makes `keys` the keys of this source, dropping those it had before. */
  publish(source: string, keys: readonly KeyRecord[]): void {
    this.#sources.set(source, new Map(keys.map(key => [key.hash, key])));
  }

  /** The key with this hash; of several sources, the first by name. */
  find(hash: string): KeyRecord | null {
    for (const source of [...this.#sources.keys()].sort()) {
      const key = this.#sources.get(source)?.get(hash);
      if (key) return key;
    }
    return null;
  }
}
