import { cutText } from './cut-text.ts';
import { decodeTokens, nameTokens } from './decode-tokens.ts';
import { joinIds } from './join-ids.ts';
import { cutSlices, type Slice } from './slice-queue.ts';
import { type LaneRequest, ThreadLane } from './thread-lane.ts';
import { splitTexts, TokenEncoder } from './token-encoder.ts';
import type { TokenizerTables } from './tokenizer-tables.ts';
import { readTokenizerInThread } from './tokenizer-thread.ts';

/** The model's own tokenizer. See design.md for what runs where. */
export interface TokenizerPool {
  /**
   * Token ids of each text, normalised as the model says, no special tokens added, and all of it plain text unless
   * `findsControlTokens`. Rejects with `signal.reason` on abort, and the work ends.
   */
  encode(texts: readonly string[], options?: EncodeOptions): Promise<Int32Array[]>;
  /** The text of token ids, as vLLM's /detokenize gives it. */
  decode(tokens: ArrayLike<number>): Promise<string>;
  /** What vLLM calls each of these tokens: in the vocabulary's alphabet, where a space is `Ġ`. */
  namesOf(tokens: ArrayLike<number>): string[];
  /** The ids of one text with what the model's post-processor puts around it, such as <|endoftext|> for embeddings. */
  appendSpecialTokens(ids: Int32Array): Int32Array;
  /** Control tokens and other added ones: text to id. */
  readonly specialTokens: ReadonlyMap<string, number>;
  /** No token is longer, so a text of n bytes of UTF-8 has at least n / longestTokenBytes tokens. */
  readonly longestTokenBytes: number;
  close(): Promise<void>;
}

export interface EncodeOptions {
  signal?: AbortSignal;
  /** Whose work it is: keys take turns. */
  keyId?: string;
  /** Names of control tokens in the texts mean them, as for vLLM's /tokenize. */
  findsControlTokens?: boolean;
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
/** A text that is longer than this, after it was cut where it can be, has a thread of its own: 8 MB of spaces take seconds. */
const longCharacters = 2 * sliceCharacters;

/** Opens a model's tokenizer.json. Rejects with an Error that names the file when it cannot be read exactly. */
export async function openTokenizerPool(options: TokenizerPoolOptions): Promise<TokenizerPool> {
  const tables = await readTokenizerInThread(options.tokenizerFile);
  return new ThreadedTokenizer(tables, options.threads ?? 1);
}

class ThreadedTokenizer implements TokenizerPool {
  readonly longestTokenBytes: number;
  readonly #tables: TokenizerTables;
  readonly #inline: TokenEncoder;
  readonly #lane: ThreadLane;
  /** For texts that cannot be cut. */
  readonly #longLane: ThreadLane;
  readonly #unfinished = new Set<LaneRequest>();
  #isClosed = false;

  constructor(tables: TokenizerTables, threads: number) {
    this.#tables = tables;
    this.#inline = new TokenEncoder(tables);
    this.#lane = new ThreadLane(tables, threads);
    this.#longLane = new ThreadLane(tables, 1);
    this.#lane.start();
    this.longestTokenBytes = tables.tokenEnds.reduce(
      (longest, end, id) => Math.max(longest, end - (tables.tokenEnds[id - 1] ?? 0)),
      0,
    );
  }

  get specialTokens(): ReadonlyMap<string, number> {
    return this.#tables.specialTokens;
  }

  async encode(texts: readonly string[], options: EncodeOptions = {}): Promise<Int32Array[]> {
    options.signal?.throwIfAborted();
    if (this.#isClosed) throw closed();
    const characters = texts.reduce((sum, text) => sum + text.length, 0);
    if (characters <= inlineCharacters)
      return splitTexts(this.#inline.encode(texts, options.findsControlTokens));
    return this.#encodeInThreads(texts, options);
  }

  async decode(tokens: ArrayLike<number>): Promise<string> {
    return decodeTokens(this.#tables, tokens);
  }

  namesOf(tokens: ArrayLike<number>): string[] {
    return nameTokens(this.#tables, tokens);
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
    await Promise.all([this.#lane.close(), this.#longLane.close()]);
  }

  async #encodeInThreads(
    texts: readonly string[],
    { signal, keyId = '', findsControlTokens = false }: EncodeOptions,
  ): Promise<Int32Array[]> {
    // A cut could go through the name of a control token.
    const cut = texts.map(text => (findsControlTokens ? [text] : cutText(text, sliceCharacters)));
    const slices = cutSlices(cut.flat(), sliceCharacters);
    const [long, others] = [slices.filter(isLong), slices.filter(slice => !isLong(slice))];
    const request: LaneRequest = {
      key: keyId,
      findsControlTokens,
      ids: [],
      slicesLeft: slices.length,
      done: Promise.withResolvers(),
    };
    const onAbort = () => this.#fail(request, signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#unfinished.add(request);
    this.#longLane.add(request, long);
    this.#lane.add(request, others);
    try {
      await request.done.promise;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      this.#unfinished.delete(request);
      this.#drop(request);
    }
    let next = 0;
    return cut.map(({ length }) => {
      next += length;
      const parts = request.ids.slice(next - length, next);
      return parts.length === 1 ? (parts[0] as Int32Array) : joinIds(parts);
    });
  }

  #fail(request: LaneRequest, reason: unknown): void {
    this.#drop(request);
    request.done.reject(reason);
  }

  #drop(request: LaneRequest): void {
    this.#lane.remove(request);
    this.#longLane.remove(request);
  }
}

const isLong = ({ texts: [first = ''] }: Slice) => first.length > longCharacters;
const closed = () => new Error('the tokenizer was closed');
