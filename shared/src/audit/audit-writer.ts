import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../logger.ts';
import { chainedLine, checkLine, genesis } from './audit-chain.ts';
import { readHeads, writeHead } from './audit-heads.ts';
import { closedFileName, liveFileName, parseAuditFileName } from './audit-names.ts';

/** Time between attempts to write again after the disk refused, in milliseconds. */
const retryAfterMs = 5000;
/** How long the written-down head may stay behind the file, in milliseconds. */
const headDelayMs = 200;
/** Enough for the last line of a file: names and ids are bounded. */
const tailBytes = 64 * 1024;

export interface AuditWriterOptions {
  folder: string;
  /** This process is the only one that writes to it (see claimLane). */
  lane: string;
  /** A file is put away before it grows beyond this. */
  maxFileBytes: number;
  /** Whether a file is put away at the end of its UTC day too. Default true. */
  mayRotateDaily?: boolean;
  logger: Logger;
  /** It began to fail, or works again. */
  onFailing?: (isFailing: boolean) => void;
  /** Lines were lost. */
  onLost?: (lines: number) => void;
}

/** What a line tells; its other fields are free. */
export interface AuditRecord {
  /** ISO 8601. */
  time: string;
}

interface OpenFile {
  descriptor: number;
  number: number;
  bytes: number;
  /** UTC day on which it was begun: `2026-11-24`. */
  day: string;
}

/**
 * The audit trail of one process: a chained JSON line a record, in the kernel when `append` returns (or `appendSoon` calls
 * back), so that a kill -9 loses none whose answer was sent after it (winston and stdout lose lines, and PM2's daemon would copy each one). A disk that
 * refuses stops nobody: lines are counted as lost, the log says when that begins and ends, and the trail says how many.
 */
export class AuditWriter {
  readonly #options: AuditWriterOptions;
  #file: OpenFile | null = null;
  #chain = genesis;
  /** Number of the file after the one that this process put away; null before it did. */
  #nextNumber: number | null = null;
  #lost = 0;
  /** Lost lines that the trail does not tell of yet. */
  #untold = 0;
  #nextAttemptAt = 0;
  #waiting: { record: AuditRecord; then: () => void }[] = [];
  #headTimer: NodeJS.Timeout | undefined;

  constructor(options: AuditWriterOptions) {
    this.#options = options;
  }

  /** Lines that could not be written since the start of this process. */
  get lost(): number {
    return this.#lost;
  }

  /** Whether the last attempt to write failed. */
  get isFailing(): boolean {
    return this.#nextAttemptAt > 0;
  }

  /** Writes a record down; `time` (ISO 8601) comes first in it. Never throws. */
  append(record: AuditRecord): void {
    if (!this.#appendAll([record])) this.#lose(1);
  }

  /** The same for who keeps the record until it is written: false, and nothing is lost, when it could not be. */
  tryAppend(record: AuditRecord): boolean {
    return this.#appendAll([record]);
  }

  /**
   * Writes a record down with all others of this turn of the event loop, then calls `then`: answers of one batch end
   * together, and a write for each costs more than its line. Never throws.
   */
  appendSoon(record: AuditRecord, then: () => void): void {
    if (this.#waiting.length === 0) setImmediate(() => this.#appendWaiting());
    this.#waiting.push({ record, then });
  }

  close(): void {
    this.#appendWaiting();
    if (this.#file) this.#writeHead();
    clearTimeout(this.#headTimer);
    this.#close();
  }

  #appendWaiting(): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    if (!this.#appendAll(waiting.map(({ record }) => record))) this.#lose(waiting.length);
    for (const { then } of waiting) then();
  }

  /** False when they could not be written. */
  #appendAll(records: readonly AuditRecord[]): boolean {
    if (this.isFailing && performance.now() < this.#nextAttemptAt) return false;
    try {
      const time = records.at(-1)?.time ?? '';
      if (this.#file && this.#isOver(this.#file, time.slice(0, 10))) this.#rotate();
      const file = this.#file ?? this.#open(time);
      if (this.#untold > 0) {
        this.#write(file, [{ time, event: 'lost', lines: this.#untold }]);
        this.#untold = 0;
      }
      this.#write(file, records);
      if (file.bytes >= this.#options.maxFileBytes) this.#rotate();
      if (this.isFailing) {
        this.#nextAttemptAt = 0;
        this.#options.onFailing?.(false);
        this.#options.logger.info('the audit trail is written again', { lostLines: this.#lost });
      }
      this.#headTimer ??= setTimeout(() => this.#writeHead(), headDelayMs).unref();
      return true;
    } catch (error) {
      if (!this.isFailing) {
        this.#options.logger.error('the audit trail cannot be written; requests go on without it', {
          code: (error as NodeJS.ErrnoException).code,
        });
        this.#options.onFailing?.(true);
      }
      this.#nextAttemptAt = performance.now() + retryAfterMs;
      this.#close();
      return false;
    }
  }

  #isOver(file: { day: string }, today: string): boolean {
    return this.#options.mayRotateDaily !== false && file.day !== today;
  }

  #lose(lines: number): void {
    this.#lost += lines;
    this.#untold += lines;
    this.#options.onLost?.(lines);
  }

  #write(file: OpenFile, records: readonly object[]): void {
    let text = '';
    let chain = this.#chain;
    for (const record of records) {
      const next = chainedLine(chain, record);
      text += next.line;
      chain = next.chain;
    }
    const bytes = Buffer.from(text);
    let written: number;
    try {
      written = writeSync(file.descriptor, bytes);
    } catch (error) {
      cutBack(file);
      throw error;
    }
    if (written < bytes.length) {
      // A disk that is full takes a part. Half a line is none.
      cutBack(file);
      throw Object.assign(new Error('the disk is full'), { code: 'ENOSPC' });
    }
    file.bytes += bytes.length;
    this.#chain = chain;
  }

  /** Opens the lane's file and goes on where it ends, or begins the next one. */
  #open(time: string): OpenFile {
    const { folder, lane, logger } = this.#options;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, liveFileName(lane));
    const descriptor = openSync(path, 'a+', 0o600);
    const file: OpenFile = {
      descriptor,
      number: 0,
      bytes: fstatSync(descriptor).size,
      day: time.slice(0, 10),
    };
    const end = orClose(descriptor, () => readEnd(file));
    if (end === 'foreign') {
      closeSync(descriptor);
      const aside = `${path}.foreign-${Date.now()}`;
      renameSync(path, aside);
      logger.error('a file of the audit trail is not as we write it; it was put aside', { file: aside });
      return this.#open(time);
    }
    const next = end ?? orClose(descriptor, () => this.#afterLastFile());
    file.number = next.number;
    this.#chain = next.chain;
    if (end && this.#isOver(end, file.day)) {
      this.#file = file;
      this.#rotate();
      return this.#open(time);
    }
    if (end) file.day = end.day;
    orClose(descriptor, () =>
      this.#write(file, [{ time, event: 'open', lane, file: file.number, pid: process.pid }]),
    );
    this.#file = file;
    return file;
  }

  /** Number of the file to begin and the chain value to begin it with: the head knows, else the names of the files. */
  #afterLastFile(): { number: number; chain: string } {
    if (this.#nextNumber !== null) return { number: this.#nextNumber, chain: this.#chain };
    const { folder, lane } = this.#options;
    const head = readHeads(folder)?.find(known => known.lane === lane);
    const closed = readdirSync(folder)
      .map(parseAuditFileName)
      .filter(name => name?.lane === lane)
      .map(name => name?.number ?? 0);
    const number = Math.max(head?.file ?? 0, ...closed) + 1;
    return { number, chain: head?.chain ?? genesis };
  }

  /** Puts the file away; the next line begins another. */
  #rotate(): void {
    const file = this.#file;
    if (!file) return;
    const { folder, lane } = this.#options;
    this.#writeHead();
    this.#close();
    renameSync(join(folder, liveFileName(lane)), join(folder, closedFileName(lane, file.number)));
    this.#nextNumber = file.number + 1;
  }

  #writeHead(): void {
    clearTimeout(this.#headTimer);
    this.#headTimer = undefined;
    if (!this.#file) return;
    const { folder, lane, logger } = this.#options;
    const { number, bytes } = this.#file;
    try {
      writeHead(folder, { lane, file: number, bytes, chain: this.#chain });
    } catch (error) {
      logger.warn('how far the audit trail goes could not be written down', {
        code: (error as NodeJS.ErrnoException).code,
      });
    }
  }

  #close(): void {
    if (this.#file) closeSync(this.#file.descriptor);
    this.#file = null;
  }
}

/** Runs `work`; when it fails the file is closed. */
function orClose<Result>(descriptor: number, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

function cutBack({ descriptor, bytes }: OpenFile): void {
  try {
    if (fstatSync(descriptor).isFile()) ftruncateSync(descriptor, bytes);
  } catch {
    // The next opening cuts it.
  }
}

/** Where a file goes on. */
interface FileEnd {
  number: number;
  chain: string;
  day: string;
}

/**
 * Where a file that was written before goes on; null for an empty one. Half a line at its end, of a write that a crash
 * broke off and whose request was not answered, is cut away.
 */
function readEnd(file: OpenFile): FileEnd | 'foreign' | null {
  const { descriptor } = file;
  if (file.bytes === 0) return null;
  const length = Math.min(tailBytes, file.bytes);
  const start = Buffer.alloc(length);
  readSync(descriptor, start, 0, length, 0);
  const first = parseFirstLine(start.toString().split('\n', 1)[0] ?? '');
  if (first === null) return 'foreign';
  const tail = Buffer.alloc(length);
  readSync(descriptor, tail, 0, length, file.bytes - length);
  const end = tail.lastIndexOf(0x0a) + 1;
  if (end < length) {
    file.bytes -= length - end;
    ftruncateSync(descriptor, file.bytes);
  }
  if (end === 0) return null;
  const last =
    tail
      .subarray(0, end - 1)
      .toString()
      .split('\n')
      .at(-1) ?? '';
  return { ...first, chain: checkLine(genesis, last)?.chain ?? genesis };
}

/** Number and day of a file by its first line; null when that is not ours. */
function parseFirstLine(line: string): { number: number; day: string } | null {
  if (!checkLine(genesis, line)) return null;
  try {
    const { file, time } = JSON.parse(line) as { file?: unknown; time?: unknown };
    if (typeof file === 'number' && typeof time === 'string') return { number: file, day: time.slice(0, 10) };
  } catch {
    // A line in pieces.
  }
  return null;
}
