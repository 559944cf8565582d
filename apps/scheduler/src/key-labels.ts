/** Keys that are counted apart; those beyond are counted together, so that metrics stay bounded. */
const mostKeys = 1000;
const otherKeys = 'other';

/** Values of the metrics' label `key`: the id of a key, for as many keys as are counted apart. */
export class KeyLabels {
  readonly #known = new Set<string>();

  of(keyId: string): string {
    if (this.#known.has(keyId)) return keyId;
    if (this.#known.size >= mostKeys) return otherKeys;
    this.#known.add(keyId);
    return keyId;
  }
}
