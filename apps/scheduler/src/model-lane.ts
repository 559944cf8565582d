import { RequestError } from '@er-gateway/shared/errors/request-error';
import { TicketTable } from '@er-gateway/shared/ticket-table';
import { Batcher, type BatcherOptions } from './batch/batcher.ts';
import { cacheKey, type ItemCache } from './cache/item-cache.ts';
import type { JobContext } from './job-context.ts';
import { Item, type ItemInput, type ItemResult, type Waiter } from './queue/item.ts';
import type { UpstreamPool } from './upstream/upstream-pool.ts';

export interface ModelLaneOptions {
  pool: UpstreamPool;
  batching: Omit<BatcherOptions, 'pool'>;
  cache: ItemCache;
  /** A job's items were looked for in the cache. */
  onCacheLookup?: (hits: number, misses: number) => void;
  cacheScope: 'key' | 'shared';
  /** Name of the model and the revision of its weights, for cache keys. */
  revision: () => string;
  /** Whether an item's own tokens are known when several share a call; else only a lone one can be kept or shared. */
  countsTokens: () => boolean;
  /** What an item of a job is called in errors: `input`, `documents`. */
  field: string;
}

/** An input and its cost in tokens. */
export interface PreparedInput {
  input: ItemInput;
  tokens: number;
}

/** What became of a job's items. */
export interface LaneOutcome {
  results: ItemResult[];
  cacheHits: number;
  /** `host:port` of the servers that worked on them. */
  upstreams: string[];
  queueMs: number;
  upstreamMs: number;
}

/** One model's way through the scheduler: cache, equal inputs in flight, queue, batches, servers. */
export class ModelLane {
  readonly pool: UpstreamPool;
  readonly batcher: Batcher;
  readonly #options: ModelLaneOptions;
  /** Items under way: a second request for one waits with the first. */
  readonly #underWay = new TicketTable<Item>();
  /** Their numbers by cache key. */
  readonly #ticketByKey = new Map<string, number>();

  constructor(options: ModelLaneOptions) {
    this.#options = options;
    this.pool = options.pool;
    this.batcher = new Batcher({ ...options.batching, pool: options.pool });
  }

  /**
   * Results of a job's inputs, in their order. Throws RequestError: the first item that fails fails its job, by index,
   * and no other job. When the caller leaves, what nobody else waits for is dropped.
   */
  async run(inputs: readonly PreparedInput[], context: JobContext): Promise<LaneOutcome> {
    const { cache, countsTokens } = this.#options;
    const { field = this.#options.field } = context;
    // Equal inputs in flight share their work even without a cache.
    const isSharing = !context.noStore && (inputs.length === 1 || countsTokens());
    const results = new Array<ItemResult>(inputs.length);
    const waiting: { item: Item; waiter: Waiter }[] = [];
    const fresh: Item[] = [];
    const job = { trace: context.trace };
    let cacheHits = 0;

    await new Promise<void>((resolve, reject) => {
      const leaveAll = () => {
        for (const { item, waiter } of waiting) item.leave(waiter);
      };
      const fail = (error: Error) => {
        leaveAll();
        reject(error);
      };
      const onAbort = () => fail(context.signal.reason as Error);
      let left = 0;
      inputs.forEach(({ input, tokens }, index) => {
        const key = isSharing ? this.#keyOf(input, context.keyId) : null;
        const known = key === null ? undefined : cache.get(key);
        if (known) {
          results[index] = known;
          cacheHits++;
          return;
        }
        let item = key === null ? undefined : this.#findUnderWay(key);
        if (!item) {
          item = new Item({
            input,
            tokens,
            keyId: context.keyId,
            priority: context.priority,
            weight: context.weight ?? 1,
            job,
          });
          if (key !== null) this.#keepUnderWay(key, item);
          fresh.push(item);
        }
        const waiter: Waiter = {
          resolve: result => {
            results[index] = result;
            if (key !== null && result.tokens > 0) cache.set(key, result);
            if (--left === 0) {
              context.signal.removeEventListener('abort', onAbort);
              resolve();
            }
          },
          reject: error => fail(withIndex(error, field, index, inputs.length)),
        };
        item.join(waiter);
        waiting.push({ item, waiter });
        left++;
      });
      if (isSharing && cache.isOn) this.#options.onCacheLookup?.(cacheHits, inputs.length - cacheHits);
      if (left === 0) return resolve();
      context.signal.addEventListener('abort', onAbort, { once: true });
      const refusal = this.#refuseIfHopeless(fresh, context);
      if (refusal) fail(refusal);
      else this.batcher.add(fresh);
    });

    const now = performance.now();
    const dispatchedAt = Math.min(now, ...waiting.map(({ item }) => item.dispatchedAt ?? now));
    return {
      results,
      cacheHits,
      upstreams: [...new Set(waiting.flatMap(({ item }) => item.upstream ?? []))],
      queueMs: Math.max(0, dispatchedAt - context.arrivedAt),
      upstreamMs: now - dispatchedAt,
    };
  }

  close(): Promise<void> {
    this.batcher.close();
    return this.pool.close();
  }

  #findUnderWay(key: string): Item | undefined {
    const ticket = this.#ticketByKey.get(key);
    return ticket === undefined ? undefined : this.#underWay.get(ticket);
  }

  #keepUnderWay(key: string, item: Item): void {
    const ticket = this.#underWay.add(item);
    this.#ticketByKey.set(key, ticket);
    item.onSettled = () => {
      this.#underWay.remove(ticket);
      this.#ticketByKey.delete(key);
    };
  }

  #keyOf(input: ItemInput, keyId: string): string {
    const { cacheScope, revision } = this.#options;
    return cacheKey({ scope: cacheScope === 'shared' ? 'shared' : keyId, revision: revision(), input });
  }

  /** What cannot be done by its deadline is refused at once, with the time after which it could. */
  #refuseIfHopeless(items: readonly Item[], context: JobContext): RequestError | null {
    const { queue } = this.batcher;
    const [first] = items;
    // What small calls have shown is less than large ones get done.
    if (first === undefined || !this.batcher.knowsCapacity) return null;
    const own = items.reduce((sum, item) => sum + item.tokens, 0);
    const neededMs = this.batcher.drainMs(queue.tokensBefore(first, own));
    const leftMs = context.deadlineAt - Date.now();
    if (neededMs <= leftMs) return null;
    return new RequestError(
      'overloaded',
      `The queue needs about ${Math.ceil(neededMs / 1000)} s for this request, more than its time-out of ${Math.ceil(leftMs / 1000)} s. Try again later, or send less at once.`,
      { retryAfterMs: Math.max(1000, neededMs - leftMs) },
    );
  }
}

/** An item's error as its owner needs it: which of the inputs it was. */
function withIndex(error: Error, field: string, index: number, count: number): Error {
  if (!(error instanceof RequestError) || error.code !== 'invalid_request') return error;
  const param = count === 1 ? field : `${field}[${index}]`;
  return new RequestError('invalid_request', `${param}: ${error.message}`, { param, cause: error });
}
