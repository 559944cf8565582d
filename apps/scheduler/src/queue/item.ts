import type { TraceHeaders } from '@er-gateway/shared/scheduler-protocol';

/** Two classes of work: what somebody waits for, and what may take its time. */
export type PriorityClass = 'interactive' | 'bulk';

/** What an item becomes. */
export interface ItemResult {
  /** An embedding, float32 in the machine's byte order; the bytes belong to this item alone. */
  vector?: Uint8Array;
  /** A pair's score. */
  score?: number;
  /** Its tokens, special and template tokens included. */
  tokens: number;
}

/** Somebody who waits for an item. */
export interface Waiter {
  resolve: (result: ItemResult) => void;
  reject: (error: Error) => void;
}

/** What items of one request share. */
export interface JobOfItems {
  /** undefined when traces are off. */
  trace?: TraceHeaders | undefined;
}

/** What of an item goes to the model server. */
export type ItemInput =
  | { kind: 'ids'; ids: Int32Array | number[] }
  /** Token ids in parts, which other items share: a query of 32,000 tokens is not repeated for each document. */
  | { kind: 'parts'; parts: readonly Int32Array[] }
  | { kind: 'text'; text: string; cut?: ServerCut }
  | { kind: 'pair'; query: string; document: string; instruction: string | null; cut?: ServerCut };

/** How the server cuts a text, by its own fields: `truncate_prompt_tokens`. What is cut otherwise has a call of its own. */
export type ServerCut = Readonly<Record<string, number>>;

/**
 * The smallest piece of work: one text or one pair. Owned by the queue until a batch takes it. Several requests may wait
 * for one item (equal inputs in flight); it is abandoned when the last of them has left.
 */
export class Item {
  readonly input: ItemInput;
  /** Cost in the queue's and the batch's budget: its tokens, or an estimate when only its text is known. */
  readonly tokens: number;
  /** Whose turn it uses up. */
  readonly keyId: string;
  readonly priority: PriorityClass;
  /** Its key's part of a busy model, against the 1 of others. */
  readonly weight: number;
  /** Items of one job share it; servers that only tell a call's sum of tokens get items of one job at a time. */
  readonly job: JobOfItems;
  /** Calls that this item was in and that failed. */
  failedCalls = 0;
  /** Called when the last waiter leaves; set by the queue while it waits, and by the call that it is in. */
  onAbandoned: ((item: Item) => void) | undefined;
  /** Called once, when it has a result or an error, or nobody waits for it any more. */
  onSettled: (() => void) | undefined;
  /** `host:port` of the model server that a call took it to last; null while it waits. */
  upstream: string | null = null;
  /** When it came, performance.now(). */
  readonly arrivedAt = performance.now();
  /** When a call took it, performance.now(); null while it waits. */
  dispatchedAt: number | null = null;
  readonly #waiters = new Set<Waiter>();
  #isSettled = false;

  constructor(options: {
    input: ItemInput;
    tokens: number;
    keyId: string;
    priority: PriorityClass;
    weight?: number;
    job: JobOfItems;
  }) {
    this.input = options.input;
    this.tokens = options.tokens;
    this.keyId = options.keyId;
    this.priority = options.priority;
    this.weight = options.weight ?? 1;
    this.job = options.job;
  }

  get isAbandoned(): boolean {
    return this.#waiters.size === 0;
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  join(waiter: Waiter): void {
    this.#waiters.add(waiter);
  }

  leave(waiter: Waiter): void {
    if (!this.#waiters.delete(waiter) || !this.isAbandoned) return;
    this.#settle();
    this.onAbandoned?.(this);
  }

  resolve(result: ItemResult): void {
    this.#settle();
    for (const waiter of this.#waiters) waiter.resolve(result);
  }

  reject(error: Error): void {
    this.#settle();
    for (const waiter of this.#waiters) waiter.reject(error);
  }

  #settle(): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.onSettled?.();
  }
}

/** The trace that a call of these items belongs to; undefined when it serves several requests, or traces are off. */
export function traceOf(items: readonly Item[]): TraceHeaders | undefined {
  const job = items[0]?.job;
  if (job?.trace === undefined) return undefined;
  return items.every(item => item.job === job) ? job.trace : undefined;
}
