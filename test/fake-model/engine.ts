import { setTimeout as delay } from 'node:timers/promises';
import { busy } from './api-error.ts';
import type { FakeModelOptions } from './options.ts';

type Costs = Pick<
  FakeModelOptions,
  | 'overheadMs'
  | 'perInputMs'
  | 'stepMs'
  | 'perTokenUs'
  | 'maxNumSeqs'
  | 'maxNumBatchedTokens'
  | 'maxNumQueuedReqs'
>;

interface QueuedInput {
  tokens: number;
  isCancelled: () => boolean;
  done: () => void;
}

/**
 * The time that a model server takes. A front end does one call at a time; an engine takes inputs from an unbounded queue
 * in steps, as many as fit. Inputs of calls that were hung up on leave the queue.
 */
export class Engine {
  readonly #costs: Costs;
  #frontEndFreeAt = 0;
  #waiting: QueuedInput[] = [];
  #running: QueuedInput[] = [];
  #isStepping = false;
  #unfinished = 0;

  constructor(costs: Costs) {
    this.#costs = costs;
  }

  /** Inputs in the queue and in the step under way, for the gauges. */
  get depth(): { waiting: number; running: number } {
    return { waiting: this.#waiting.length, running: this.#running.length };
  }

  /** Takes as long as this call would. Throws ApiError 503 when the queue is limited and full. */
  async run(tokenCounts: number[], signal: AbortSignal): Promise<void> {
    const limit = this.#costs.maxNumQueuedReqs;
    if (limit > 0 && this.#unfinished + tokenCounts.length > limit) throw busy();
    this.#unfinished += tokenCounts.length;
    try {
      await this.#frontEnd(tokenCounts.length);
      if (this.#costs.stepMs > 0 || this.#costs.perTokenUs > 0) {
        await Promise.all(tokenCounts.map(tokens => this.#enqueue(tokens, signal)));
      }
    } finally {
      this.#unfinished -= tokenCounts.length;
    }
  }

  async #frontEnd(inputs: number): Promise<void> {
    const cost = this.#costs.overheadMs + this.#costs.perInputMs * inputs;
    if (cost === 0) return;
    this.#frontEndFreeAt = Math.max(performance.now(), this.#frontEndFreeAt) + cost;
    await delay(this.#frontEndFreeAt - performance.now());
  }

  #enqueue(tokens: number, signal: AbortSignal): Promise<void> {
    return new Promise(done => {
      this.#waiting.push({ tokens, isCancelled: () => signal.aborted, done });
      if (!this.#isStepping) void this.#stepUntilEmpty();
    });
  }

  async #stepUntilEmpty(): Promise<void> {
    this.#isStepping = true;
    // Inputs that arrive together share a step.
    await delay(0);
    let freeAt = performance.now();
    while (true) {
      for (const input of this.#waiting.filter(input => input.isCancelled())) input.done();
      this.#waiting = this.#waiting.filter(input => !input.isCancelled());
      if (this.#waiting.length === 0) break;
      this.#running = this.#waiting.splice(0, this.#fitting());
      const tokens = this.#running.reduce((sum, input) => sum + input.tokens, 0);
      freeAt =
        Math.max(freeAt, performance.now()) + this.#costs.stepMs + (tokens * this.#costs.perTokenUs) / 1000;
      await delay(freeAt - performance.now());
      for (const input of this.#running) input.done();
      this.#running = [];
    }
    this.#isStepping = false;
  }

  /** How many inputs of the queue's head fit into a step; a single one always does. */
  #fitting(): number {
    let tokens = 0;
    let count = 0;
    for (const input of this.#waiting) {
      tokens += input.tokens;
      if (count === this.#costs.maxNumSeqs || tokens > this.#costs.maxNumBatchedTokens) break;
      count++;
    }
    return Math.max(count, 1);
  }
}
