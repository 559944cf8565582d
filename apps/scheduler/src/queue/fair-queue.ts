import { type BatchBudget, ClassLine } from './class-line.ts';
import type { Item, PriorityClass } from './item.ts';

/** Part of the work that bulk gets while interactive work waits too: it is slow then, but never starved. */
const bulkShare = 1 / 8;
/** Part of a batch up to which a key has little to do. */
const littlePart = 1 / 8;
/** Sums of parts are off by less. */
const roundingError = 1e-9;

/**
 * What waits for one model. Fair between keys by tokens (deficit round robin, Shreedhar and Varghese 1995), interactive
 * work before bulk work. A key that floods it lengthens its own line only.
 */
export class FairQueue {
  readonly #classes: Record<PriorityClass, ClassLine> = {
    interactive: new ClassLine(),
    bulk: new ClassLine(),
  };
  /** What bulk work may have of the next batch while interactive work waits too, as a part of a batch. */
  #savedForBulk = 0;

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

  /**
   * Tokens that go before the end of a key's line when `tokens` more are added to it: its own, its part of what other keys
   * have waiting, and the other class's part.
   */
  tokensBefore(
    { keyId, priority, weight }: Pick<Item, 'keyId' | 'priority' | 'weight'>,
    tokens: number,
  ): number {
    const { interactive, bulk } = this.#classes;
    const before = this.#classes[priority].tokensBefore(keyId, weight, tokens);
    if (priority === 'interactive')
      return before + Math.min(bulk.tokens, (before * bulkShare) / (1 - bulkShare));
    return before + Math.min(interactive.tokens, (before * (1 - bulkShare)) / bulkShare);
  }

  push(item: Item): void {
    this.#classes[item.priority].push(item);
  }

  /** Puts items of a failed call back, before everything else of their keys. */
  pushBack(items: Item[]): void {
    for (const item of items.toReversed()) this.#classes[item.priority].pushFront(item);
  }

  /**
   * Takes the next batch: at least one item when any waits, else what the budget holds. `ofOneJob` keeps it to items of
   * one request. While both classes wait, bulk saves up its share of each batch until its next item fits into what was
   * saved; when that is a whole batch, bulk goes first.
   */
  take(budget: BatchBudget, ofOneJob = false): Item[] {
    const { interactive, bulk } = this.#classes;
    const isContested = interactive.size > 0 && bulk.size > 0;
    this.#savedForBulk = isContested ? Math.min(1, this.#savedForBulk + bulkShare) : 0;
    const taken: Item[] = [];
    const left = { ...budget };
    if (this.#savedForBulk === 1) this.#takeSaved(taken, left, budget, ofOneJob);
    else if (isContested && !ofOneJob) {
      const saved = this.#saved(budget);
      const others = { items: left.items - saved.items, tokens: left.tokens - saved.tokens };
      interactive.take(taken, others, ofOneJob);
      left.items = others.items + saved.items;
      left.tokens = others.tokens + saved.tokens;
      this.#takeSaved(taken, left, budget, ofOneJob);
    }
    interactive.take(taken, left, ofOneJob);
    bulk.take(taken, left, ofOneJob);
    return taken;
  }

  /**
   * Takes what interactive keys with little to do have waiting, when others have more than a batch: they need not stand
   * in line with whole batches. Each has at most an eighth of a batch; all of them a batch.
   */
  takeAhead(budget: BatchBudget): Item[] {
    const part = (whole: number) => Math.max(1, Math.floor(whole * littlePart));
    const most = { items: part(budget.items), tokens: part(budget.tokens) };
    return this.#classes.interactive.takeShortLines(most, budget);
  }

  /** Removes and returns everything. */
  clear(): Item[] {
    return [...this.#classes.interactive.clear(), ...this.#classes.bulk.clear()];
  }

  /** What waits, by key. */
  inspect(): { keyId: string; priority: PriorityClass; items: number; tokens: number }[] {
    return (['interactive', 'bulk'] as const).flatMap(priority =>
      this.#classes[priority].inspect().map(line => ({ ...line, priority })),
    );
  }

  /** What bulk work saved, in items and tokens. */
  #saved(budget: BatchBudget): BatchBudget {
    const part = (whole: number) => Math.floor(whole * this.#savedForBulk + roundingError);
    return { items: part(budget.items), tokens: part(budget.tokens) };
  }

  /** Gives bulk work what it saved, as far as there is room; what it takes is no longer saved. */
  #takeSaved(taken: Item[], left: BatchBudget, budget: BatchBudget, ofOneJob: boolean): void {
    const saved = this.#saved(budget);
    const room = { items: Math.min(left.items, saved.items), tokens: Math.min(left.tokens, saved.tokens) };
    const before = { ...room };
    this.#classes.bulk.take(taken, room, ofOneJob);
    const used = { items: before.items - room.items, tokens: before.tokens - room.tokens };
    left.items -= used.items;
    left.tokens -= used.tokens;
    // A call of one request is nobody else's, however small it is.
    const part = ofOneJob ? 1 : Math.max(used.items / budget.items, used.tokens / budget.tokens);
    this.#savedForBulk = Math.max(0, this.#savedForBulk - part);
  }
}
