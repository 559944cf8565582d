import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Engine } from './config/effective-config.ts';
import type { Role } from './config/schema.ts';

/**
 * Where a model process is in its life; which step may follow which is in supervisor/src/states.ts.
 * - stopped: no server runs; `lastError` says whether it ended by itself and is started again
 * - starting: leftovers, checks, waits before the program runs
 * - loading: the program runs and does not listen yet
 * - testing: it listens, and its answers are being checked
 * - ready; degraded: ready, but its last test went wrong or is late
 * - draining: takes no new calls, finishes those under way; stopping: was signalled
 * - failed: given up until somebody changes something
 */
export type ModelProcessState =
  | 'stopped'
  | 'starting'
  | 'loading'
  | 'testing'
  | 'ready'
  | 'degraded'
  | 'draining'
  | 'stopping'
  | 'failed';

/**
 * What the supervisor of one model server says of it, in `<run_dir>/<app>.status.json` (replaced whole at each change).
 * The supervisor is its only writer; everybody else reads it with readModelProcess().
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
  /** Share of the GPU's memory that it asks for, 0 to 1; null on the CPU. */
  gpuMemoryShare: number | null;
  /** Starts that failed in a row. */
  failedStarts: number;
  /** When the program began to run, Unix time in milliseconds; null before. */
  startedAt: number | null;
  /** When it is to run, while that is being waited for; null otherwise. */
  nextStartAt: number | null;
  /** How long it takes from there to readiness, by the last time or by experience, in milliseconds. */
  usualLoadMs: number;
  logFile: string;
}

/** Replaces the status file; readers see the old or the new one, never half. */
export function writeModelProcessStatus(file: string, status: ModelProcessStatus): void {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(status), { mode: 0o600 });
  renameSync(draft, file);
}

/**
 * The state of a model process by its status file; null when there is none. What a supervisor that is gone said last holds
 * no more, except that it gave up.
 */
export function readModelProcess(file: string): ModelProcessStatus | null {
  const status = readStatusFile(file);
  if (status === null || status.state === 'failed' || isAlive(status.supervisorPid)) return status;
  return { ...status, state: 'stopped', detail: 'its supervisor is not running', pid: null };
}

/** The file as it is, whoever wrote it; null when there is none. */
export function readStatusFile(file: string): ModelProcessStatus | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ModelProcessStatus;
  } catch {
    return null;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** An estimate beyond its time is stretched by this share of what it has taken so far. */
const overdueShare = 0.25;
const leastEstimateMs = 1_000;

/**
 * When a model process will answer, Unix time in milliseconds, by how long its loading usually takes; null when nobody
 * knows (stopped, failed, being stopped) or it answers now.
 */
export function expectedReadyAt(status: ModelProcessStatus, now: number): number | null {
  const { state, startedAt, nextStartAt, usualLoadMs } = status;
  if (state === 'starting') return Math.max(now, nextStartAt ?? now) + usualLoadMs;
  if ((state !== 'loading' && state !== 'testing') || startedAt === null) return null;
  const usualAt = startedAt + usualLoadMs;
  return Math.max(
    usualAt,
    now + Math.max(leastEstimateMs, usualAt < now ? (now - startedAt) * overdueShare : 0),
  );
}

/** A model process in one line for people, without what a clock shows: `loading: loading weights 1/2`. */
export function describeModelProcess({ state, detail, lastError }: ModelProcessStatus): string {
  const why = lastError !== null && !detail.includes(lastError) ? `; last error: ${lastError}` : '';
  return `${state}${detail === '' ? '' : `: ${detail}`}${why}`;
}

/** Since when a model process has been on its way, Unix time in milliseconds: the program's start while it loads. */
export function begunAt({ state, startedAt, since }: ModelProcessStatus): number {
  return state === 'loading' || state === 'testing' ? (startedAt ?? since) : since;
}

/** `14 s, about 20 s to go`, or `14 s` where nobody knows. */
export function describeTimes(begun: number, readyAt: number | null, now: number): string {
  const left = readyAt === null ? '' : `, about ${seconds(readyAt - now)} to go`;
  return `${seconds(now - begun)}${left}`;
}

const seconds = (ms: number) => `${Math.max(0, Math.round(ms / 1000))} s`;
