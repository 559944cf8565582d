import {
  closeSync,
  createReadStream,
  createWriteStream,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { StringDecoder } from 'node:string_decoder';
import { createGzip } from 'node:zlib';
import { explainingLine, loadingDetail } from './log-lines.ts';

/** Lines kept for finding out why it ended: two vLLM tracebacks. */
const keptLines = 1000;
/** After a failed write the file is tried again after this time. */
const retryMs = 10_000;
const lineBreak = 0x0a;

/** Where the log is kept and how much of it. */
export interface ModelLogOptions {
  file: string;
  /** The file is put away and compressed when it would grow beyond this. */
  maxBytes: number;
  /** Compressed files that are kept: `<file>.1.gz` is the newest. */
  keep: number;
  /** Called once when the file cannot be written, and once when it can again. */
  onProblem: (problem: string) => void;
}

/**
 * The log of one model server: takes its output, writes every byte of it to the file, puts full files away, and remembers
 * the last lines. When the file cannot be written the output is thrown away, and the server goes on.
 */
export class ModelLog {
  readonly #options: ModelLogOptions;
  #descriptor: number | null = null;
  #size = 0;
  #endsLine = true;
  #isRegular = false;
  #lostBytes = 0;
  #retryAt = 0;
  #isBroken = false;
  #compressing: Promise<void> | null = null;
  #packAgainAt = 0;
  #decoder = new StringDecoder('utf8');
  #unfinished = '';
  #addedBytes = 0;
  #lines: string[] = [];
  #detail: string | null = null;

  constructor(options: ModelLogOptions) {
    this.#options = options;
    // A supervisor that was killed while it compressed.
    if (existsSync(`${options.file}.1`)) this.#compress();
  }

  /** Adds a line of ours. */
  note(line: string): void {
    this.#save(Buffer.from(`${line}\n`));
  }

  /** Adds what the server wrote. */
  add(chunk: Buffer): void {
    this.#addedBytes += chunk.length;
    this.#save(chunk);
    // Progress bars end their lines with \r.
    const parts = (this.#unfinished + this.#decoder.write(chunk)).split(/[\r\n]+/);
    this.#unfinished = parts.pop() ?? '';
    this.#lines = [...this.#lines, ...parts].slice(-keptLines);
    this.#detail = parts.map(loadingDetail).findLast(detail => detail !== null) ?? this.#detail;
  }

  /** How much the server wrote so far. */
  get addedBytes(): number {
    return this.#addedBytes;
  }

  /** What the server does now by its newest telling line; null when no line since the last question says so. */
  newDetail(): string | null {
    const detail = this.#detail;
    this.#detail = null;
    return detail;
  }

  /** The line that explains its end; null when there is none. */
  explanation(): string | null {
    return explainingLine([...this.#lines, this.#unfinished]);
  }

  /** Closes the file, when what was put away is compressed. */
  async close(): Promise<void> {
    await this.#compressing;
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
  }

  #save(chunk: Buffer): void {
    if (this.#retryAt > performance.now()) {
      this.#lostBytes += chunk.length;
      return;
    }
    try {
      this.#descriptor ??= this.#open();
      if (this.#isFull(chunk)) this.#descriptor = this.#putAway(this.#descriptor);
      for (let from = 0; from < chunk.length; ) from += writeSync(this.#descriptor, chunk, from);
      this.#size += chunk.length;
      this.#endsLine = chunk.at(-1) === lineBreak;
      if (this.#isBroken) {
        this.#options.onProblem(
          `the model server's output is kept again; ${this.#lostBytes} bytes were lost`,
        );
      }
      this.#isBroken = false;
      this.#lostBytes = 0;
    } catch (error) {
      this.#lostBytes += chunk.length;
      this.#retryAt = performance.now() + retryMs;
      if (this.#descriptor !== null) closeSync(this.#descriptor);
      this.#descriptor = null;
      if (this.#isBroken) return;
      this.#isBroken = true;
      this.#options.onProblem(`the model server's output is thrown away: ${(error as Error).message}`);
    }
  }

  #open(): number {
    mkdirSync(dirname(this.#options.file), { recursive: true });
    const descriptor = openSync(this.#options.file, 'a', 0o600);
    const { size, isFile } = statOf(descriptor);
    this.#size = size;
    this.#isRegular = isFile;
    return descriptor;
  }

  #isFull(chunk: Buffer): boolean {
    const { maxBytes } = this.#options;
    // At a line's end where there is one; while a file is being compressed this one grows on.
    const mayBreak = this.#endsLine || this.#size > 2 * maxBytes;
    return (
      this.#isRegular &&
      this.#size > 0 &&
      this.#size + chunk.length > maxBytes &&
      mayBreak &&
      this.#isOldOneGone()
    );
  }

  /**
   * Whether the file that was put away last is packed, so that its name is free. One whose packing failed is tried again now
   * and then, and this file grows on meanwhile: nothing is lost.
   */
  #isOldOneGone(): boolean {
    if (this.#compressing !== null) return false;
    if (!existsSync(`${this.#options.file}.1`)) return true;
    if (performance.now() >= this.#packAgainAt) this.#compress();
    return false;
  }

  /** Begins a new file. */
  #putAway(full: number): number {
    const { file } = this.#options;
    renameSync(file, `${file}.1`);
    closeSync(full);
    this.#compress();
    return this.#open();
  }

  #compress(): void {
    this.#packAgainAt = performance.now() + retryMs;
    this.#compressing = compressOldest(this.#options)
      .catch(error => this.#options.onProblem(`an old log could not be compressed: ${error.message}`))
      .finally(() => {
        this.#compressing = null;
      });
  }
}

/** `<file>.1` becomes `<file>.1.gz`, and those before it move on by one. */
async function compressOldest({ file, keep }: ModelLogOptions): Promise<void> {
  const packed = (number: number) => `${file}.${number}.gz`;
  const draft = `${file}.1.packing`;
  await pipeline(createReadStream(`${file}.1`), createGzip(), createWriteStream(draft, { mode: 0o600 }));
  rmSync(packed(keep), { force: true });
  for (let number = keep - 1; number >= 1; number--) {
    if (existsSync(packed(number))) renameSync(packed(number), packed(number + 1));
  }
  if (keep > 0) renameSync(draft, packed(1));
  rmSync(draft, { force: true });
  rmSync(`${file}.1`);
}

function statOf(descriptor: number): { size: number; isFile: boolean } {
  const found = fstatSync(descriptor);
  return { size: found.size, isFile: found.isFile() };
}
