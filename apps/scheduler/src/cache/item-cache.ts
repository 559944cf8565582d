import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { ItemInput, ItemResult } from '../queue/item.ts';

/** Memory of an entry beside its vector: key, object, list links (measured with 1e5 entries on Node 24). */
const entryOverheadBytes = 400;

/** Who may hit an entry, and what the entry is of. */
export interface CacheKeyParts {
  /** API key id, or one word for all when the cache is shared. */
  scope: string;
  /** Model and the revision of its weights. */
  revision: string;
  input: ItemInput;
}

/**
 * Results of items, least recently used ones dropped first when `maxBytes` is reached. Keyed by model, revision and
 * token ids, so equal inputs are found whatever request they stood in; full vectors are kept, from which every
 * `dimensions` is cut. Scoped to the API key unless it is configured to be shared: a shared cache tells by its speed that
 * somebody has sent this text before.
 */
export class ItemCache {
  readonly #entries: LRUCache<string, ItemResult> | null;

  constructor(maxBytes: number) {
    this.#entries =
      maxBytes === 0
        ? null
        : new LRUCache({
            maxSize: maxBytes,
            sizeCalculation: ({ vector }) => entryOverheadBytes + (vector?.byteLength ?? 0),
          });
  }

  get isOn(): boolean {
    return this.#entries !== null;
  }

  get bytes(): number {
    return this.#entries?.calculatedSize ?? 0;
  }

  get entries(): number {
    return this.#entries?.size ?? 0;
  }

  get(key: string): ItemResult | undefined {
    return this.#entries?.get(key);
  }

  set(key: string, result: ItemResult): void {
    this.#entries?.set(key, result);
  }
}

/** The name of an item's result. SHA-256: nobody can make two inputs of one name and so poison another's entry. */
export function cacheKey({ scope, revision, input }: CacheKeyParts): string {
  const kind = input.kind === 'parts' ? 'ids' : input.kind;
  return `${scope}\n${revision}\n${kind} ${hash('sha256', bytesOf(input), 'base64')}`;
}

function bytesOf(input: ItemInput): Buffer | string {
  switch (input.kind) {
    case 'ids': {
      const ids = input.ids instanceof Int32Array ? input.ids : Int32Array.from(input.ids);
      return Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength);
    }
    // The same name as that of the ids in one list.
    case 'parts':
      return Buffer.concat(
        input.parts.map(part => new Uint8Array(part.buffer, part.byteOffset, part.byteLength)),
      );
    case 'text':
      return JSON.stringify(input.cut ?? null) + input.text;
    case 'pair':
      return JSON.stringify([input.cut, input.instruction, input.query, input.document]);
  }
}
