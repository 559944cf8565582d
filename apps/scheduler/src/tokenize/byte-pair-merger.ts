import { findMerge, type MergeTable } from './merge-table.ts';

/** A heap entry is `rank * positions + position`: the lowest rank first, the leftmost of equal ranks first. */
const positions = 2 ** 32;
const none = -1;
/** Merges between two looks at whether anybody still waits: some milliseconds. */
const mergesPerLook = 65_536;

/** Buffers up to here are kept for the next piece. */
const keptPositions = 65_536;

/** Ends work that nobody waits for any more. */
export function throwIfStopped(stop: Int32Array | null): void {
  if (stop !== null && Atomics.load(stop, 0) !== 0) throw new Error('nobody waits for these tokens any more');
}

/**
 * Byte pair encoding of one piece in O(n log n), whatever it holds. The piece's bytes are a linked list of tokens; a heap
 * says which neighbours merge next. Buffers are kept between calls, so one instance serves one thread.
 */
export class BytePairMerger {
  readonly #merges: MergeTable;
  readonly #stop: Int32Array | null;
  /** Of each position: its token and its neighbours' positions. */
  #ids = new Int32Array(0);
  #next = new Int32Array(0);
  #previous = new Int32Array(0);
  /** Rank and result of merging a position with the next one; rank -1 when they do not merge or it is gone. */
  #ranks = new Int32Array(0);
  #merged = new Int32Array(0);
  #heap = new Float64Array(0);
  #heapSize = 0;

  /** `stop[0]` becomes 1 when nobody waits for its work any more; null: it is never stopped. */
  constructor(merges: MergeTable, stop: Int32Array | null = null) {
    this.#merges = merges;
    this.#stop = stop;
  }

  /** Merges `tokens` in place as far as it goes; returns how many are left, at its start. Throws when it is stopped. */
  merge(tokens: Int32Array): number {
    this.#reserve(tokens.length);
    try {
      return this.#mergeAll(tokens);
    } finally {
      // A very long piece's buffers, hundreds of megabytes, are not kept: the next one may not come for days.
      if (this.#ids.length > keptPositions) this.#allocate(0);
    }
  }

  #mergeAll(tokens: Int32Array): number {
    const count = tokens.length;
    for (let at = 0; at < count; at += 1) {
      this.#ids[at] = tokens[at] ?? 0;
      this.#next[at] = at + 1 < count ? at + 1 : none;
      this.#previous[at] = at - 1;
    }
    this.#heapSize = 0;
    for (let at = 0; at < count; at += 1) {
      if (at % mergesPerLook === 0) throwIfStopped(this.#stop);
      this.#offer(at);
    }
    for (let merges = 0; this.#heapSize > 0; merges += 1) {
      if (merges % mergesPerLook === 0) throwIfStopped(this.#stop);
      this.#mergeAt(this.#pop());
    }
    let left = 0;
    for (let at = 0; at !== none && left < count; at = this.#next[at] ?? none) {
      tokens[left] = this.#ids[at] ?? 0;
      left += 1;
    }
    return left;
  }

  #mergeAt(entry: number): void {
    const at = entry % positions;
    // The pair has changed since it was offered.
    if (this.#ranks[at] !== (entry - at) / positions) return;
    const gone = this.#next[at] ?? none;
    const after = this.#next[gone] ?? none;
    const before = this.#previous[at] ?? none;
    this.#ids[at] = this.#merged[at] ?? 0;
    this.#ranks[gone] = none;
    this.#next[at] = after;
    if (after !== none) this.#previous[after] = at;
    this.#offer(at);
    if (before !== none) this.#offer(before);
  }

  /** Looks up the pair that begins at a position, and queues it when it merges. */
  #offer(at: number): void {
    const next = this.#next[at] ?? none;
    const slot = next === none ? -1 : findMerge(this.#merges, this.#ids[at] ?? 0, this.#ids[next] ?? 0);
    if (slot === -1) {
      this.#ranks[at] = none;
      return;
    }
    const rank = this.#merges[slot + 2] ?? 0;
    this.#ranks[at] = rank;
    this.#merged[at] = this.#merges[slot + 3] ?? 0;
    this.#push(rank * positions + at);
  }

  #push(entry: number): void {
    const heap = this.#heap;
    let at = this.#heapSize;
    this.#heapSize += 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] ?? 0;
      if (above <= entry) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): number {
    const heap = this.#heap;
    const top = heap[0] ?? 0;
    this.#heapSize -= 1;
    const size = this.#heapSize;
    const last = heap[size] ?? 0;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && (heap[child + 1] ?? 0) < (heap[child] ?? 0)) child += 1;
      const below = heap[child] ?? 0;
      if (below >= last) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
    return top;
  }

  #reserve(count: number): void {
    if (count > this.#ids.length) this.#allocate(Math.max(count, 1024));
  }

  #allocate(size: number): void {
    this.#ids = new Int32Array(size);
    this.#next = new Int32Array(size);
    this.#previous = new Int32Array(size);
    this.#ranks = new Int32Array(size);
    this.#merged = new Int32Array(size);
    // Each position is offered once, and each merge offers two more.
    this.#heap = new Float64Array(size * 3);
  }
}
