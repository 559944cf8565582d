import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Engine } from './config/effective-config.ts';
import type { Role } from './config/schema.ts';

/** Where a model process is in its life. */
export type ModelProcessState = 'starting' | 'loading' | 'ready' | 'stopping' | 'backing-off' | 'failed';

/**
 * What the supervisor of one model server says of it, in `<run_dir>/<app>.status.json` (replaced whole at each change).
 * The supervisor is its only writer; the scheduler, the monitor and the command line read it.
 */
export interface ModelProcessStatus {
  /** PM2 app and replica: `embedding`, `reranker`, `embedding-1` for the second replica. */
  app: string;
  role: Role;
  engine: Engine;
  state: ModelProcessState;
  /** When this state began, Unix time in milliseconds. */
  since: number;
  /** What it does now, for people: `loading weights 1/2`, `waiting 4 s before the next start`. */
  detail: string;
  /** The line that explains the last failure; null when there was none since the last success. */
  lastError: string | null;
  /** Supervisor, and leader of the model server's process group (null when none runs). */
  supervisorPid: number;
  pid: number | null;
  port: number;
  /** GPU index; null on the CPU. */
  gpu: number | null;
  /** Starts that failed in a row. */
  failedStarts: number;
  logFile: string;
}

/** Replaces the status file; readers see the old or the new one, never half. */
export function writeModelProcessStatus(file: string, status: ModelProcessStatus): void {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(status), { mode: 0o600 });
  renameSync(draft, file);
}

/** The status in the file; null when there is none. */
export function readModelProcessStatus(file: string): ModelProcessStatus | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ModelProcessStatus;
  } catch {
    return null;
  }
}
