import { setImmediate } from 'node:timers/promises';
import { checkCharacters, checkLength, checkVocabulary, maxCharacters } from './limits.ts';
import type { ModelClient } from './model-client.ts';
import { modelFacts } from './model-facts.ts';
import { type Call, takeSlice } from './slices.ts';
import type { Tokenizer } from './tokenizer.ts';
import { joinWindows, toWindows } from './windows.ts';

/** About 0.1 s of work at 10 ms a short text; larger slices gain nothing. */
const sliceLimits = { maxRows: 16, maxPaddedTokens: 256 };
/** Characters that are tokenized before other requests get a turn: about 5 ms. */
const charactersPerTurn = 20_000;

/** A text, or its token ids. */
export type EmbedderInput = string | number[];

interface WaitingCall extends Call {
  vectors: Float32Array[];
  done: PromiseWithResolvers<Float32Array[]>;
}

/** What the engine has done and has to do, for /metrics. An input that is longer than a window counts several times. */
export interface EmbedderCounts {
  running: number;
  waiting: number;
  promptTokens: number;
  finished: number;
}

/** Turns inputs into vectors: queues them, shares the model between calls, and forgets the calls that were cancelled. */
export class Embedder {
  readonly tokenizer: Tokenizer;
  readonly #model: ModelClient;
  #calls: WaitingCall[] = [];
  #running = 0;
  #promptTokens = 0;
  #finished = 0;

  constructor(model: ModelClient) {
    this.#model = model;
    this.tokenizer = model.tokenizer;
  }

  counts(): EmbedderCounts {
    const waiting = this.#calls.reduce((sum, { windows, next }) => sum + windows.length - next, 0);
    return {
      running: this.#running,
      waiting,
      promptTokens: this.#promptTokens,
      finished: this.#finished,
    };
  }

  /**
   * Token ids of each input, the first `most` of them (-1: as many as the model takes; null: all). Throws EngineError for an
   * input that is too long, or ids that do not exist.
   */
  async tokenize(
    inputs: readonly EmbedderInput[],
    signal: AbortSignal,
    most: number | null = null,
  ): Promise<number[][]> {
    const tokenLists: number[][] = [];
    let characters = 0;
    for (const input of inputs) {
      tokenLists.push(this.#tokenizeOne(input, most));
      characters += input.length;
      if (characters < charactersPerTurn) continue;
      characters = 0;
      await setImmediate();
      signal.throwIfAborted();
    }
    return tokenLists;
  }

  /** A vector of length 1 for each list of token ids, in their order. Rejects with the signal's reason on abort. */
  async embed(tokenLists: readonly number[][], signal: AbortSignal): Promise<Float32Array[]> {
    const texts = tokenLists.map(tokens => toWindows(tokens, modelFacts.windowTokens));
    const vectors = await this.#run(texts.flat(), signal);
    for (const tokens of tokenLists) this.#promptTokens += tokens.length;
    this.#finished += tokenLists.length;
    let offset = 0;
    return texts.map(windows => {
      const own = vectors.slice(offset, offset + windows.length);
      offset += windows.length;
      return joinWindows(own, windows);
    });
  }

  #tokenizeOne(input: EmbedderInput, most: number | null): number[] {
    const { maxModelLen } = modelFacts;
    const end = most === null ? undefined : most === -1 ? maxModelLen : Math.min(most, maxModelLen);
    if (typeof input !== 'string') return checkVocabulary(checkLength(input.slice(0, end)));
    const text = end === undefined ? checkCharacters(input) : input.slice(0, maxCharacters);
    return checkLength(this.tokenizer.encode(text).slice(0, end));
  }

  async #run(windows: number[][], signal: AbortSignal): Promise<Float32Array[]> {
    signal.throwIfAborted();
    const call: WaitingCall = { windows, next: 0, vectors: [], done: Promise.withResolvers() };
    const cancel = () => {
      this.#calls = this.#calls.filter(other => other !== call);
      call.done.reject(signal.reason);
    };
    signal.addEventListener('abort', cancel);
    this.#calls.push(call);
    if (this.#running === 0) void this.#work();
    try {
      return await call.done.promise;
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  /** Feeds the model slice by slice until no call waits. The only caller of the model. */
  async #work(): Promise<void> {
    for (;;) {
      const slice = takeSlice(this.#calls, sliceLimits);
      this.#running = slice.length;
      if (slice.length === 0) return;
      // Calls that got nothing in this slice come first in the next.
      const served = new Set(slice.map(item => item.call));
      const isServed = (call: WaitingCall) => served.has(call);
      this.#calls = [...this.#calls.filter(call => !isServed(call)), ...this.#calls.filter(isServed)];
      try {
        const vectors = await this.#model.encode(
          slice.map(({ call, position }) => call.windows[position] ?? []),
        );
        slice.forEach(({ call, position }, row) => {
          call.vectors[position] = vectors[row] as Float32Array;
        });
      } catch (error) {
        for (const call of served) call.done.reject(error);
        this.#calls = this.#calls.filter(call => !isServed(call));
      }
      this.#finish();
    }
  }

  #finish(): void {
    const isDone = (call: WaitingCall) => call.next === call.windows.length;
    for (const call of this.#calls.filter(isDone)) call.done.resolve(call.vectors);
    this.#calls = this.#calls.filter(call => !isDone(call));
  }
}
