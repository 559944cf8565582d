import type { Item } from './item.ts';

/** Tokens that a key's turn is worth. Smaller is fairer among keys of short texts, larger needs fewer turns. */
const quantumTokens = 512;

/** What a batch may hold. */
export interface BatchBudget {
  items: number;
  tokens: number;
}

interface KeyLine {
  /** Nothing is left of items that were taken or passed over: the line may be old, and they would grow old with it. */
  items: (Item | undefined)[];
  /** Index of the first item that waits. The array is trimmed now and then. */
  head: number;
  /** Items that wait: those from `head` on that are not abandoned. */
  size: number;
  /** Tokens that this key may still take in its turn. */
  deficit: number;
  /** Tokens that wait. */
  tokens: number;
  /** Its turns are worth so many times the usual. */
  weight: number;
}

/** The lines of one class, one a key, and whose turn it is: deficit round robin by tokens. */
export class ClassLine {
  size = 0;
  tokens = 0;
  readonly #lines = new Map<string, KeyLine>();
  /** Keys with waiting items, in the order of their turns. */
  #turns: string[] = [];
  /** An item that nobody waits for any more: counted out now, passed over later. */
  readonly #onAbandoned = (item: Item) => this.#remove(this.#lines.get(item.keyId) as KeyLine, item);

  get keys(): number {
    return this.#lines.size;
  }

  /** When the first item of all lines came, performance.now(); Infinity when there is none. */
  get oldestAt(): number {
    let oldestAt = Number.POSITIVE_INFINITY;
    for (const { items, head } of this.#lines.values()) {
      oldestAt = Math.min(oldestAt, items[head]?.arrivedAt ?? oldestAt);
    }
    return oldestAt;
  }

  /** Tokens that go before the end of a key's line when `tokens` more are added to it: its own, and its part of the others'. */
  tokensBefore(keyId: string, weight: number, tokens: number): number {
    const own = (this.#lines.get(keyId)?.tokens ?? 0) + tokens;
    let before = own;
    for (const [otherId, line] of this.#lines) {
      if (otherId !== keyId) before += Math.min(line.tokens, (own * line.weight) / weight);
    }
    return before;
  }

  push(item: Item): void {
    if (item.isAbandoned) return;
    const line = this.#lineOf(item);
    line.items.push(item);
    this.#add(line, item);
  }

  pushFront(item: Item): void {
    if (item.isAbandoned) return;
    const line = this.#lineOf(item);
    if (line.head > 0) line.items[--line.head] = item;
    else line.items.unshift(item);
    this.#add(line, item);
  }

  /**
   * Adds to a batch what is left of its budget. The first item of a batch may be larger than that, never than its key's
   * deficit. A key whose turn the batch's end cuts short has its next one after the others.
   */
  take(taken: Item[], left: BatchBudget, ofOneJob: boolean): void {
    for (let tookInTurn = false; this.#turns.length > 0; ) {
      const keyId = this.#turns[0] as string;
      const line = this.#lines.get(keyId) as KeyLine;
      const item = line.items[line.head] as Item;
      const isFirst = taken.length === 0;
      const isFull = !isFirst && (left.items < 1 || (ofOneJob && taken[0]?.job !== item.job));
      if (!isFull && item.tokens > line.deficit) {
        this.#endTurn(line, item);
        tookInTurn = false;
        continue;
      }
      if (isFull || (!isFirst && item.tokens > left.tokens)) {
        if (tookInTurn) this.#endTurn(line, item);
        return;
      }
      line.deficit -= item.tokens;
      left.items--;
      left.tokens -= item.tokens;
      taken.push(item);
      item.onAbandoned = undefined;
      passFirst(line);
      this.#remove(line, item);
      tookInTurn = line.size > 0;
    }
  }

  /**
   * Takes the whole lines of keys that have no more than `most` waiting, in the order of their turns, as many as a batch
   * holds; none when the other keys have less than a batch waiting.
   */
  takeShortLines(most: BatchBudget, budget: BatchBudget): Item[] {
    const short = this.#turns
      .map(keyId => this.#lines.get(keyId) as KeyLine)
      .filter(({ size, tokens }) => size <= most.items && tokens <= most.tokens);
    const others = { items: this.size, tokens: this.tokens };
    for (const { size, tokens } of short) {
      others.items -= size;
      others.tokens -= tokens;
    }
    if (others.items < budget.items && others.tokens < budget.tokens) return [];
    const taken: Item[] = [];
    const left = { ...budget };
    for (const line of short) {
      left.items -= line.size;
      left.tokens -= line.tokens;
      if (left.items < 0 || left.tokens < 0) break;
      taken.push(...this.#takeLine(line));
    }
    return taken;
  }

  /** Removes and returns everything. */
  clear(): Item[] {
    const items = [...this.#lines.values()].flatMap(waitingIn);
    for (const item of items) item.onAbandoned = undefined;
    this.#lines.clear();
    this.#turns = [];
    this.size = 0;
    this.tokens = 0;
    return items;
  }

  inspect(): { keyId: string; items: number; tokens: number }[] {
    return [...this.#lines].map(([keyId, { size, tokens }]) => ({ keyId, items: size, tokens }));
  }

  #takeLine(line: KeyLine): Item[] {
    const items = waitingIn(line);
    for (const item of items) {
      item.onAbandoned = undefined;
      passFirst(line);
      this.#remove(line, item);
    }
    return items;
  }

  #lineOf({ keyId, weight }: Item): KeyLine {
    let line = this.#lines.get(keyId);
    if (!line) {
      line = { items: [], head: 0, size: 0, deficit: quantumTokens * weight, tokens: 0, weight };
      this.#lines.set(keyId, line);
      this.#turns.push(keyId);
    }
    // A changed weight counts from the next turn on.
    line.weight = weight;
    return line;
  }

  /** What a key saved counts in its next turn; a turn that was cut short is no more than made whole again. */
  #endTurn(line: KeyLine, next: Item): void {
    const quantum = quantumTokens * line.weight;
    line.deficit = next.tokens > line.deficit ? line.deficit + quantum : Math.max(line.deficit, quantum);
    this.#turns.push(this.#turns.shift() as string);
  }

  #add(line: KeyLine, item: Item): void {
    item.onAbandoned = this.#onAbandoned;
    this.size++;
    this.tokens += item.tokens;
    line.size++;
    line.tokens += item.tokens;
  }

  /** Counts an item out that was taken or abandoned. An empty line keeps no credit: a key that comes back starts like a new one. */
  #remove(line: KeyLine, item: Item): void {
    this.size--;
    this.tokens -= item.tokens;
    line.size--;
    line.tokens -= item.tokens;
    if (line.size === 0) {
      this.#lines.delete(item.keyId);
      const turn = this.#turns.indexOf(item.keyId);
      this.#turns.splice(turn, 1);
      line.items = [];
      return;
    }
    while (line.items[line.head]?.isAbandoned) passFirst(line);
    if (line.items.length > 1024 && line.items.length > line.size * 2) {
      line.items = waitingIn(line);
      line.head = 0;
    }
  }
}

function passFirst(line: KeyLine): void {
  line.items[line.head++] = undefined;
}

const waitingIn = ({ items, head }: KeyLine): Item[] =>
  items.slice(head).filter((item): item is Item => item !== undefined && !item.isAbandoned);
