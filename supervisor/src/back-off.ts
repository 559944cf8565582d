import { readFileSync, writeFileSync } from 'node:fs';

const longestBackOffMs = 30_000;
/** Ready for this long, a model server has started well, and earlier failures are forgotten. */
export const steadyAfterMs = 60_000;
/** After this many failed starts in a row somebody must look: the fifth ends in `failed`. */
export const mostFailedStarts = 5;

/** Wait before the next start, in milliseconds: 0, 1, 2, 4 … 30 s after 0, 1, 2, 3 … failed starts in a row. */
export function backOffMs(failedStarts: number): number {
  return failedStarts === 0 ? 0 : Math.min(longestBackOffMs, 1000 * 2 ** (failedStarts - 1));
}

/** Failed starts in a row after a model server failed that had been ready for this long (0: never was). */
export function failedStartsAfter(failedStarts: number, readyForMs: number): number {
  return readyForMs >= steadyAfterMs ? 0 : failedStarts + 1;
}

/** What one life of a supervisor tells the next: PM2 starts a new process after each failure. */
export interface StartRecord {
  /** Starts in a row whose model server did not stay ready for a minute. */
  failedStarts: number;
  lastError: string | null;
  /** How long the last start took that came to readiness, in milliseconds; null when none did. */
  loadMs: number | null;
}

/** The record in the file; an empty one when there is none. */
export function readStartRecord(file: string): StartRecord {
  const none = { failedStarts: 0, lastError: null, loadMs: null };
  try {
    return { ...none, ...(JSON.parse(readFileSync(file, 'utf8')) as Partial<StartRecord>) };
  } catch {
    return none;
  }
}

/** Changes the record for the next life. */
export function writeStartRecord(file: string, change: Partial<StartRecord>): void {
  writeFileSync(file, JSON.stringify({ ...readStartRecord(file), ...change }), { mode: 0o600 });
}
