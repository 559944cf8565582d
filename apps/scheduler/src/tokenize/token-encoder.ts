import { BytePairMerger } from './byte-pair-merger.ts';
import { normalizeText } from './normalize-text.ts';
import { PieceCache, type PieceIds } from './piece-cache.ts';
import { splitPieces } from './split-pieces.ts';
import type { TokenizerTables } from './tokenizer-tables.ts';

/** Token ids of some texts, one text after the other; those of text `i` end at `ends[i]` and begin where `i - 1` ended. */
export interface EncodedTexts {
  ids: Int32Array<ArrayBuffer>;
  ends: Int32Array<ArrayBuffer>;
}

const cachedPieces = 32_768;
/** A larger buffer, as one huge text needs, is not kept. */
const keptIds = 1 << 20;

/** Turns texts into the model's token ids. One instance serves one thread. */
export class TokenEncoder {
  readonly #tables: TokenizerTables;
  readonly #merger: BytePairMerger;
  readonly #cache = new PieceCache(cachedPieces);
  #ids = new Int32Array(4096);
  #count = 0;

  constructor(tables: TokenizerTables) {
    this.#tables = tables;
    this.#merger = new BytePairMerger(tables.merges);
  }

  /**
   * Encodes texts as plain text: nothing in them becomes a control token, and none is added. Throws a RangeError for a
   * text with millions of characters that nothing separates.
   */
  encode(texts: readonly string[]): EncodedTexts {
    this.#count = 0;
    if (this.#ids.length > keptIds) this.#ids = new Int32Array(4096);
    const ends = new Int32Array(texts.length);
    texts.forEach((text, index) => {
      for (const piece of splitPieces(normalizeText(text))) this.#append(this.#encodePiece(piece));
      ends[index] = this.#count;
    });
    return { ids: this.#ids.slice(0, this.#count), ends };
  }

  #append(ids: PieceIds): void {
    const end = this.#count + (typeof ids === 'number' ? 1 : ids.length);
    if (end > this.#ids.length) {
      const larger = new Int32Array(Math.max(end, this.#ids.length * 2));
      larger.set(this.#ids);
      this.#ids = larger;
    }
    if (typeof ids === 'number') this.#ids[this.#count] = ids;
    else this.#ids.set(ids, this.#count);
    this.#count = end;
  }

  #encodePiece(piece: string): PieceIds {
    const known = this.#cache.get(piece);
    if (known !== undefined) return known;
    const bytes = Buffer.from(piece);
    const tokens = new Int32Array(bytes.length);
    for (let at = 0; at < bytes.length; at += 1) tokens[at] = this.#tables.idOfByte[bytes[at] ?? 0] ?? 0;
    const count = this.#merger.merge(tokens);
    const ids = count === 1 ? (tokens[0] ?? 0) : tokens.slice(0, count);
    this.#cache.set(piece, ids);
    return ids;
  }
}

/** The ids of each text. */
export function splitTexts({ ids, ends }: EncodedTexts): Int32Array[] {
  let start = 0;
  return Array.from(ends, end => {
    const part = ids.subarray(start, end);
    start = end;
    return part;
  });
}
