import type { Item, PriorityClass } from './item.ts';

/** Tokens that a key's turn is worth. Smaller is fairer among keys of short texts, larger needs fewer turns. */
const quantumTokens = 512;
/** Part of a batch that bulk work gets while interactive work waits too: it is slow then, but never starved. */
const bulkShare = 1 / 8;

/** What a batch may hold. */
export interface BatchBudget {
  items: number;
  tokens: number;
}

interface KeyLine {
  items: Item[];
  /** Index of the first item that waits; the array is trimmed now and then. */
  head: number;
  /** Tokens that this key may still take in its turn. */
  deficit: number;
  /** Tokens that wait. */
  tokens: number;
  /** Its turns are worth so many times the usual. */
  weight: number;
}

/**
 * What waits for one model. Fair between keys by tokens (deficit round robin, Shreedhar and Varghese 1995), interactive
 * work before bulk work. A key that floods it lengthens its own line only.
 */
export class FairQueue {
  readonly #classes: Record<PriorityClass, ClassLine> = {
    interactive: new ClassLine(),
    bulk: new ClassLine(),
  };

  /** Items that wait. */
  get size(): number {
    return this.#classes.interactive.size + this.#classes.bulk.size;
  }

  /** Tokens that wait. */
  get tokens(): number {
    return this.#classes.interactive.tokens + this.#classes.bulk.tokens;
  }

  /** How long the item that came first has been waiting at this time (performance.now()), in milliseconds; 0 when none waits. */
  ageMs(now: number): number {
    const { interactive, bulk } = this.#classes;
    return Math.max(0, now - Math.min(now, interactive.oldestAt, bulk.oldestAt));
  }

  /** Keys that wait. */
  get keys(): number {
    return this.#classes.interactive.keys + this.#classes.bulk.keys;
  }

  /** Tokens that a key has waiting in a class. */
  tokensOf(keyId: string, priority: PriorityClass): number {
    return this.#classes[priority].tokensOf(keyId);
  }

  push(item: Item): void {
    this.#classes[item.priority].push(item);
  }

  /** Puts items of a failed call back, before everything else of their keys. */
  pushBack(items: Item[]): void {
    for (const item of items.toReversed()) this.#classes[item.priority].pushFront(item);
  }

  /** Drops items that nobody waits for any more. */
  dropAbandoned(): void {
    this.#classes.interactive.dropAbandoned();
    this.#classes.bulk.dropAbandoned();
  }

  /**
   * Takes the next batch: at least one item when any waits, else what the budget holds. `ofOneJob` keeps it to items of
   * one request.
   */
  take(budget: BatchBudget, ofOneJob = false): Item[] {
    const { interactive, bulk } = this.#classes;
    const taken: Item[] = [];
    const reserved = bulk.size > 0 && interactive.size > 0 && !ofOneJob ? bulkShare : 0;
    const left = {
      items: Math.max(1, Math.floor(budget.items * (1 - reserved))),
      tokens: Math.max(1, Math.floor(budget.tokens * (1 - reserved))),
    };
    interactive.take(taken, left, ofOneJob);
    left.items = budget.items - taken.length;
    left.tokens = budget.tokens - taken.reduce((sum, item) => sum + item.tokens, 0);
    bulk.take(taken, left, ofOneJob);
    return taken;
  }

  /** Removes and returns everything. */
  clear(): Item[] {
    return this.take({ items: Number.MAX_SAFE_INTEGER, tokens: Number.MAX_SAFE_INTEGER });
  }

  /** What waits, by key. */
  inspect(): { keyId: string; priority: PriorityClass; items: number; tokens: number }[] {
    return (['interactive', 'bulk'] as const).flatMap(priority =>
      this.#classes[priority].inspect().map(line => ({ ...line, priority })),
    );
  }
}

/** The lines of one class, one a key, and whose turn it is. */
class ClassLine {
  size = 0;
  tokens = 0;
  readonly #lines = new Map<string, KeyLine>();
  /** Keys with waiting items, in the order of their turns. */
  #turns: string[] = [];

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

  tokensOf(keyId: string): number {
    return this.#lines.get(keyId)?.tokens ?? 0;
  }

  push(item: Item): void {
    const line = this.#lineOf(item);
    line.items.push(item);
    this.#count(line, item, 1);
  }

  pushFront(item: Item): void {
    const line = this.#lineOf(item);
    if (line.head > 0) line.items[--line.head] = item;
    else line.items.unshift(item);
    this.#count(line, item, 1);
  }

  take(taken: Item[], left: BatchBudget, ofOneJob: boolean): void {
    while (this.#turns.length > 0) {
      const keyId = this.#turns[0] as string;
      const line = this.#lines.get(keyId) as KeyLine;
      for (;;) {
        const item = line.items[line.head];
        if (item === undefined) {
          this.#endTurn(keyId, line);
          break;
        }
        if (item.isAbandoned) {
          this.#shift(line, item);
          continue;
        }
        const isFirst = taken.length === 0;
        if (!isFirst && (left.items < 1 || item.tokens > left.tokens)) return;
        if (ofOneJob && taken[0] !== undefined && taken[0].job !== item.job) return;
        if (!isFirst && item.tokens > line.deficit) {
          // Its turn is over; what it saved counts in its next one.
          line.deficit += quantumTokens * line.weight;
          this.#turns.push(this.#turns.shift() as string);
          break;
        }
        line.deficit = Math.max(0, line.deficit - item.tokens);
        left.items--;
        left.tokens -= item.tokens;
        taken.push(this.#shift(line, item));
      }
    }
  }

  dropAbandoned(): void {
    for (const [keyId, line] of this.#lines) {
      const kept = line.items.slice(line.head).filter(item => !item.isAbandoned);
      for (const item of line.items.slice(line.head)) if (item.isAbandoned) this.#count(line, item, -1);
      line.items = kept;
      line.head = 0;
      if (kept.length === 0) {
        this.#lines.delete(keyId);
        this.#turns = this.#turns.filter(turn => turn !== keyId);
      }
    }
  }

  inspect(): { keyId: string; items: number; tokens: number }[] {
    return [...this.#lines].map(([keyId, { items, head, tokens }]) => ({
      keyId,
      items: items.length - head,
      tokens,
    }));
  }

  #lineOf({ keyId, weight }: Item): KeyLine {
    let line = this.#lines.get(keyId);
    if (!line) {
      line = { items: [], head: 0, deficit: quantumTokens * weight, tokens: 0, weight };
      this.#lines.set(keyId, line);
      this.#turns.push(keyId);
    }
    // A changed weight counts from the next turn on.
    line.weight = weight;
    return line;
  }

  /** An empty line keeps no credit: a key that comes back starts like a new one. */
  #endTurn(keyId: string, line: KeyLine): void {
    line.items.length = 0;
    this.#lines.delete(keyId);
    this.#turns.shift();
  }

  #shift(line: KeyLine, item: Item): Item {
    line.head++;
    if (line.head > 1024 && line.head * 2 > line.items.length) {
      line.items.splice(0, line.head);
      line.head = 0;
    }
    this.#count(line, item, -1);
    return item;
  }

  #count(line: KeyLine, item: Item, sign: 1 | -1): void {
    this.size += sign;
    this.tokens += sign * item.tokens;
    line.tokens += sign * item.tokens;
  }
}
