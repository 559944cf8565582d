import { type Slice, SliceQueue, type Turn } from './slice-queue.ts';
import { splitTexts } from './token-encoder.ts';
import type { TokenizerTables } from './tokenizer-tables.ts';
import { startEncodingThread, type TokenizerThread } from './tokenizer-thread.ts';

/** A request as its lanes see it. */
export interface LaneRequest {
  /** Whose turn it uses up. */
  key: string;
  findsControlTokens: boolean;
  /** Ids of its texts, filled in as they come. */
  ids: Int32Array[];
  slicesLeft: number;
  done: PromiseWithResolvers<void>;
}

/** Threads and what waits for them. They are started when there is work for them first, unless before. */
export class ThreadLane {
  readonly #tables: TokenizerTables;
  readonly #most: number;
  readonly #queue = new SliceQueue<LaneRequest>();
  readonly #threads = new Set<TokenizerThread>();
  readonly #idle: TokenizerThread[] = [];
  readonly #working = new Map<TokenizerThread, LaneRequest>();
  #isClosed = false;

  constructor(tables: TokenizerTables, threads: number) {
    this.#tables = tables;
    this.#most = threads;
  }

  /** Starts its threads now, so that the first request need not wait for them. */
  start(): void {
    while (this.#threads.size < this.#most) {
      const thread = startEncodingThread(this.#tables);
      this.#threads.add(thread);
      this.#idle.push(thread);
    }
  }

  add(request: LaneRequest, slices: Slice[]): void {
    if (slices.length === 0) return;
    this.#queue.add(request.key, request, slices);
    this.start();
    for (const thread of this.#idle.splice(0)) void this.#work(thread);
  }

  /** Drops what is left of a request, also what a thread is at. */
  remove(request: LaneRequest): void {
    this.#queue.remove(request);
    for (const [thread, working] of this.#working) if (working === request) thread.stop();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#threads].map(thread => thread.close()));
  }

  /** Gives a thread slice after slice until none is left; then it is idle. */
  async #work(thread: TokenizerThread): Promise<void> {
    for (let next = this.#queue.take(); next !== undefined; next = this.#queue.take()) {
      await this.#encodeSlice(thread, next);
      if (thread.isLost) {
        this.#threads.delete(thread);
        const rest = this.#queue.take();
        if (rest !== undefined && !this.#isClosed) this.add(rest.request, [rest.slice]);
        return;
      }
    }
    this.#idle.push(thread);
  }

  async #encodeSlice(thread: TokenizerThread, { request, slice }: Turn<LaneRequest>): Promise<void> {
    const { findsControlTokens } = request;
    this.#working.set(thread, request);
    try {
      const encoded = splitTexts(await thread.encode({ texts: slice.texts, findsControlTokens }));
      encoded.forEach((ids, index) => {
        request.ids[slice.start + index] = ids;
      });
      request.slicesLeft -= 1;
      if (request.slicesLeft === 0) request.done.resolve();
    } catch (error) {
      request.done.reject(error);
      this.#queue.remove(request);
    } finally {
      this.#working.delete(thread);
    }
  }
}
