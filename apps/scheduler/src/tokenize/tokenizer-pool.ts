import { decodeTokens } from './decode-tokens.ts';
import { cutSlices, SliceQueue, type Turn } from './slice-queue.ts';
import { splitTexts, TokenEncoder } from './token-encoder.ts';
import type { TokenizerTables } from './tokenizer-tables.ts';
import { readTokenizerInThread, TokenizerThread } from './tokenizer-thread.ts';

/** The model's own tokenizer. See design-notes.md for what runs where. */
export interface TokenizerPool {
  /**
   * Token ids of each text, normalised as the model says, all of it plain text, no special tokens added. Rejects with
   * `signal.reason` on abort.
   */
  encode(texts: string[], signal?: AbortSignal): Promise<Int32Array[]>;
  /** The text of token ids, as vLLM's /detokenize gives it. */
  decode(tokens: ArrayLike<number>): Promise<string>;
  /** The ids of one text with what the model's post-processor puts around it, such as <|endoftext|> for embeddings. */
  appendSpecialTokens(ids: Int32Array): Int32Array;
  /** Control tokens and other added ones: text to id. */
  readonly specialTokens: ReadonlyMap<string, number>;
  /** No token is longer, so a text of n bytes of UTF-8 has at least n / longestTokenBytes tokens. */
  readonly longestTokenBytes: number;
  close(): Promise<void>;
}

export interface TokenizerPoolOptions {
  tokenizerFile: string;
  /** For long texts and large requests; short ones need none. */
  threads?: number;
}

/** Up to here the main thread is held for less than 0.5 ms by words; in UTF-16 units, of all texts together. */
const inlineCharacters = 4096;
/** A slice of words takes a thread about 0.7 to 3.5 ms. */
const sliceCharacters = 32_768;

/** Opens a model's tokenizer.json. Rejects with an Error that names the file when it cannot be read exactly. */
export async function openTokenizerPool(options: TokenizerPoolOptions): Promise<TokenizerPool> {
  const tables = await readTokenizerInThread(options.tokenizerFile);
  return new ThreadedTokenizer(tables, options.threads ?? 1);
}

interface Request {
  ids: Int32Array[];
  slicesLeft: number;
  done: PromiseWithResolvers<Int32Array[]>;
}

class ThreadedTokenizer implements TokenizerPool {
  readonly longestTokenBytes: number;
  readonly #tables: TokenizerTables;
  readonly #inline: TokenEncoder;
  readonly #queue = new SliceQueue<Request>();
  readonly #threads = new Set<TokenizerThread>();
  readonly #idle: TokenizerThread[] = [];
  readonly #unfinished = new Set<Request>();
  #isClosed = false;

  constructor(tables: TokenizerTables, threads: number) {
    this.#tables = tables;
    this.#inline = new TokenEncoder(tables);
    this.longestTokenBytes = tables.tokenEnds.reduce(
      (longest, end, id) => Math.max(longest, end - (tables.tokenEnds[id - 1] ?? 0)),
      0,
    );
    for (let started = 0; started < threads; started += 1) this.#startThread();
  }

  get specialTokens(): ReadonlyMap<string, number> {
    return this.#tables.specialTokens;
  }

  async encode(texts: string[], signal?: AbortSignal): Promise<Int32Array[]> {
    signal?.throwIfAborted();
    if (this.#isClosed) throw closed();
    const characters = texts.reduce((sum, text) => sum + text.length, 0);
    if (characters <= inlineCharacters) return splitTexts(this.#inline.encode(texts));
    return this.#encodeInThreads(texts, signal);
  }

  async decode(tokens: ArrayLike<number>): Promise<string> {
    return decodeTokens(this.#tables, tokens);
  }

  appendSpecialTokens(ids: Int32Array): Int32Array {
    const { before, after } = this.#tables.specialIds;
    const all = new Int32Array(before.length + ids.length + after.length);
    all.set(before);
    all.set(ids, before.length);
    all.set(after, before.length + ids.length);
    return all;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const request of this.#unfinished) this.#fail(request, closed());
    await Promise.all([...this.#threads].map(thread => thread.close()));
  }

  async #encodeInThreads(texts: string[], signal: AbortSignal | undefined): Promise<Int32Array[]> {
    const slices = cutSlices(texts, sliceCharacters);
    const request: Request = { ids: [], slicesLeft: slices.length, done: Promise.withResolvers() };
    const onAbort = () => this.#fail(request, signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#unfinished.add(request);
    this.#queue.add(request, slices);
    for (const thread of this.#idle.splice(0)) void this.#work(thread);
    try {
      return await request.done.promise;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      this.#unfinished.delete(request);
    }
  }

  #startThread(): void {
    const thread = new TokenizerThread({ kind: 'encode', tables: this.#tables });
    this.#threads.add(thread);
    void this.#work(thread);
  }

  /** Gives a thread slice after slice until none is left; then it is idle. */
  async #work(thread: TokenizerThread): Promise<void> {
    for (let next = this.#queue.take(); next !== undefined; next = this.#queue.take()) {
      await this.#encodeSlice(thread, next);
      if (thread.isLost) {
        this.#threads.delete(thread);
        if (!this.#isClosed) this.#startThread();
        return;
      }
    }
    this.#idle.push(thread);
  }

  async #encodeSlice(thread: TokenizerThread, { request, slice }: Turn<Request>): Promise<void> {
    try {
      const encoded = splitTexts(await thread.encode(slice.texts));
      encoded.forEach((ids, index) => {
        request.ids[slice.start + index] = ids;
      });
      request.slicesLeft -= 1;
      if (request.slicesLeft === 0) request.done.resolve(request.ids);
    } catch (error) {
      this.#fail(request, error);
    }
  }

  #fail(request: Request, reason: unknown): void {
    this.#queue.remove(request);
    request.done.reject(reason);
  }
}

const closed = () => new Error('the tokenizer was closed');
