import { closeSync, fstatSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { explainingLine, loadingDetail } from './log-lines.ts';

/** Most that is read of the log at once, in bytes; what came before is skipped. */
const readWindowBytes = 262_144;
/** Lines kept for finding out why it ended: two vLLM tracebacks. */
const keptLines = 1000;

/** Where a model server's output goes. */
export interface LogTarget {
  output: number | 'ignore';
  /** Bytes that were in the file before. */
  startsAt: number;
  /** Why the output is thrown away; null when it is kept. */
  problem: string | null;
}

/**
 * Opens the log for appending and writes a first line, which also shows whether the disk takes one. A log that cannot be
 * written must not keep the model from running.
 */
export function openModelLog(file: string, firstLine: string): LogTarget {
  let opened: number | null = null;
  try {
    mkdirSync(dirname(file), { recursive: true });
    opened = openSync(file, 'a');
    const startsAt = fstatSync(opened).size;
    writeSync(opened, `${firstLine}\n`);
    return { output: opened, startsAt, problem: null };
  } catch (error) {
    if (opened !== null) closeSync(opened);
    return { output: 'ignore', startsAt: 0, problem: (error as Error).message };
  }
}

/** Reads what a model server adds to its log: progress while it loads, the reason when it ends. */
export class ModelLogReader {
  readonly #file: string;
  #offset: number;
  #unfinished = '';
  #lines: string[] = [];

  constructor(file: string, startsAt: number) {
    this.#file = file;
    this.#offset = startsAt;
  }

  /** What it does now by its newest telling line; null when nothing new says so. */
  newDetail(): string | null {
    const details = this.#readNewLines().map(loadingDetail);
    return details.findLast(detail => detail !== null) ?? null;
  }

  /** The line that explains its end; null when there is none. */
  explanation(): string | null {
    this.#readNewLines();
    return explainingLine([...this.#lines, this.#unfinished]);
  }

  #readNewLines(): string[] {
    // Progress bars end their lines with \r.
    const parts = (this.#unfinished + this.#readNewText()).split(/[\r\n]+/);
    this.#unfinished = parts.pop() ?? '';
    this.#lines = [...this.#lines, ...parts].slice(-keptLines);
    return parts;
  }

  #readNewText(): string {
    let opened: number | null = null;
    try {
      opened = openSync(this.#file, 'r');
      const { size } = fstatSync(opened);
      if (size < this.#offset) this.#offset = 0;
      const from = Math.max(this.#offset, size - readWindowBytes);
      const buffer = Buffer.alloc(size - from);
      const bytes = readSync(opened, buffer, 0, buffer.length, from);
      this.#offset = from + bytes;
      return buffer.toString('utf8', 0, bytes);
    } catch {
      return '';
    } finally {
      if (opened !== null) closeSync(opened);
    }
  }
}
