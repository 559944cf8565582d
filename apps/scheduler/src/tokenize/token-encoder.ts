import { BytePairMerger, throwIfStopped } from './byte-pair-merger.ts';
import { normalizeText } from './normalize-text.ts';
import { PieceCache, type PieceIds } from './piece-cache.ts';
import { pieceEnd } from './piece-end.ts';
import type { TokenizerTables } from './tokenizer-tables.ts';

/** Token ids of some texts, one text after the other; those of text `i` end at `ends[i]` and begin where `i - 1` ended. */
export interface EncodedTexts {
  ids: Int32Array<ArrayBuffer>;
  ends: Int32Array<ArrayBuffer>;
}

const cachedPieces = 32_768;
/** A larger buffer, as one huge text needs, is not kept. */
const keptIds = 1 << 20;

/** Pieces between two looks at whether anybody still waits. */
const piecesPerLook = 4096;

/** Turns texts into the model's token ids. One instance serves one thread. */
export class TokenEncoder {
  readonly #tables: TokenizerTables;
  readonly #stop: Int32Array | null;
  /** Finds names of control tokens, the longest that fits; null without any. */
  readonly #controlTokens: RegExp | null;
  readonly #merger: BytePairMerger;
  readonly #cache = new PieceCache(cachedPieces);
  #ids = new Int32Array(4096);
  #count = 0;

  /** `stop[0]` becomes 1 when nobody waits for its work any more; null: it is never stopped. */
  constructor(tables: TokenizerTables, stop: Int32Array | null = null) {
    this.#tables = tables;
    this.#stop = stop;
    this.#merger = new BytePairMerger(tables.merges, stop);
    this.#controlTokens = patternOf([...tables.specialTokens.keys()]);
  }

  /**
   * Encodes texts as plain text: nothing in them becomes a control token, unless `findsControlTokens`, and none is added.
   * Throws when it is stopped.
   */
  encode(texts: readonly string[], findsControlTokens = false): EncodedTexts {
    this.#count = 0;
    if (this.#ids.length > keptIds) this.#ids = new Int32Array(4096);
    const ends = new Int32Array(texts.length);
    texts.forEach((text, index) => {
      if (findsControlTokens) this.#appendWithControlTokens(text);
      else this.#appendText(normalizeText(text));
      ends[index] = this.#count;
    });
    return { ids: this.#ids.slice(0, this.#count), ends };
  }

  /** Control tokens are found before the text is normalised, as the library does. */
  #appendWithControlTokens(text: string): void {
    let start = 0;
    for (const found of this.#controlTokens === null ? [] : text.matchAll(this.#controlTokens)) {
      this.#appendText(normalizeText(text.slice(start, found.index)));
      this.#append(this.#tables.specialTokens.get(found[0]) ?? 0);
      start = found.index + found[0].length;
    }
    this.#appendText(normalizeText(text.slice(start)));
  }

  #appendText(text: string): void {
    let pieces = 0;
    for (let start = 0, end = 0; start < text.length; start = end) {
      if (++pieces % piecesPerLook === 0) throwIfStopped(this.#stop);
      end = pieceEnd(text, start);
      this.#append(this.#encodePiece(text.slice(start, end)));
    }
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

function patternOf(names: readonly string[]): RegExp | null {
  if (names.length === 0) return null;
  const longestFirst = names.toSorted((a, b) => b.length - a.length);
  return new RegExp(longestFirst.map(name => name.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')).join('|'), 'g');
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
