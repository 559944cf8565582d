import { dirname, join, resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { ThreadAnswer, ThreadQuestion, ThreadTask } from './thread-messages.ts';
import type { EncodedTexts } from './token-encoder.ts';
import { sharedInt32Array, type TokenizerTables } from './tokenizer-tables.ts';

/** Built, this code is dist/scheduler/main.cjs, where `__filename` exists; sources are modules, where it does not. */
const threadFile =
  typeof __filename === 'string'
    ? join(dirname(__filename), 'tokenize-thread.cjs')
    : resolve('apps/scheduler/src/tokenize/thread.ts');

/** Reads a tokenizer in a thread of its own, which ends: parsing leaves 200 MB of garbage behind. */
export async function readTokenizerInThread(tokenizerFile: string): Promise<TokenizerTables> {
  const thread = new TokenizerThread({ kind: 'read', tokenizerFile });
  try {
    const answer = await thread.nextAnswer();
    if (answer.kind !== 'tables')
      throw new Error(`unexpected answer of the tokenizer's thread: ${answer.kind}`);
    return answer.tables;
  } finally {
    await thread.close();
  }
}

/** A thread that encodes. */
export function startEncodingThread(tables: TokenizerTables): TokenizerThread {
  const stop = sharedInt32Array(1);
  return new TokenizerThread({ kind: 'encode', tables, stop }, stop);
}

/** One thread and the answer it owes. After a failure of the thread itself, `isLost` is true and it answers no more. */
export class TokenizerThread {
  readonly #worker: Worker;
  #waiting: PromiseWithResolvers<ThreadAnswer> | null = null;
  #lostBy: Error | null = null;
  readonly #stop: Int32Array | null;

  constructor(task: ThreadTask, stop: Int32Array | null = null) {
    this.#stop = stop;
    this.#worker = new Worker(threadFile, { workerData: task, name: `tokenizer ${task.kind}` });
    this.#worker.on('message', (answer: ThreadAnswer) => {
      if (answer.kind === 'failed') this.#settle(waiting => waiting.reject(answer.error));
      else this.#settle(waiting => waiting.resolve(answer));
    });
    this.#worker.on('error', error =>
      this.#lose(new Error(`the tokenizer's thread failed: ${error}`, { cause: error })),
    );
    this.#worker.on('exit', code => this.#lose(new Error(`the tokenizer's thread ended with code ${code}`)));
  }

  get isLost(): boolean {
    return this.#lostBy !== null;
  }

  /** One call at a time. */
  async encode(question: ThreadQuestion): Promise<EncodedTexts> {
    const answering = this.nextAnswer();
    if (this.#stop !== null) Atomics.store(this.#stop, 0, 0);
    this.#worker.postMessage(question);
    const answer = await answering;
    if (answer.kind !== 'encoded')
      throw new Error(`unexpected answer of the tokenizer's thread: ${answer.kind}`);
    return answer.encoded;
  }

  /** Lets it give up what it works on, within milliseconds: the answer that it owes is an error, or was on its way. */
  stop(): void {
    if (this.#stop !== null) Atomics.store(this.#stop, 0, 1);
  }

  nextAnswer(): Promise<ThreadAnswer> {
    if (this.#lostBy !== null) return Promise.reject(this.#lostBy);
    this.#waiting = Promise.withResolvers();
    return this.#waiting.promise;
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #settle(how: (waiting: PromiseWithResolvers<ThreadAnswer>) => void): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting !== null) how(waiting);
  }

  #lose(error: Error): void {
    this.#lostBy ??= error;
    this.#settle(waiting => waiting.reject(error));
  }
}
