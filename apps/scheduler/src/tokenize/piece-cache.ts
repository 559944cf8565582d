/** The ids of a piece; a single id, which most pieces are, without an array. */
export type PieceIds = number | Int32Array;

/** Longest piece worth keeping, in UTF-16 units: words repeat, runs of Chinese without a space do not. */
const longestPiece = 32;

/**
 * Remembers the ids of recent pieces: two generations, the older of which is dropped when the younger is full, so that
 * frequent ones stay and its size is bounded (about 60 bytes a piece).
 */
export class PieceCache {
  readonly #capacity: number;
  #young = new Map<string, PieceIds>();
  #old = new Map<string, PieceIds>();

  /** `capacity`: pieces in one generation. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get(piece: string): PieceIds | undefined {
    const recent = this.#young.get(piece);
    if (recent !== undefined) return recent;
    const ids = this.#old.get(piece);
    if (ids !== undefined) this.#keep(piece, ids);
    return ids;
  }

  set(piece: string, ids: PieceIds): void {
    if (piece.length <= longestPiece) this.#keep(piece, ids);
  }

  #keep(piece: string, ids: PieceIds): void {
    if (this.#young.size >= this.#capacity) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    // A copy: a slice of the text would keep the whole text in memory.
    this.#young.set(Buffer.from(piece).toString(), ids);
  }
}
