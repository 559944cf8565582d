import { closeSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '@er-gateway/shared/logger';
import type { ModelProcessStatus } from '@er-gateway/shared/model-process-status';
import { awaitEarlierReplica } from './await-earlier-replica.ts';
import { awaitReadiness } from './await-readiness.ts';
import {
  backOffMs,
  clearStartRecord,
  failedStartsAfter,
  readStartRecord,
  steadyAfterMs,
  writeStartRecord,
} from './back-off.ts';
import { type ChildExit, type ModelChild, startChild, withDeathSignal } from './child.ts';
import { modelPort } from './command-inputs.ts';
import { endReason } from './end-reason.ts';
import { removeLeftover } from './leftover.ts';
import { ModelLogReader, openModelLog } from './model-log.ts';
import { ensurePortIsFree } from './port-check.ts';
import { type PreparedCommand, type PrepareOptions, prepareCommand } from './prepare-command.ts';
import { type ProcessFiles, processFiles } from './process-files.ts';
import { killGroup, recordGroup } from './process-group.ts';
import { shownCommand } from './shown-command.ts';
import { StatusBoard } from './status-board.ts';

/** Time from the first SIGTERM to SIGKILL. vLLM: its --shutdown-timeout of 20 s and 15 s more; below PM2's kill_timeout. */
const graceMs = { builtin: 5_000, vllm: 35_000, external: 0 };
/** vLLM loses a SIGTERM that comes while it loads, so then it gets one every second. A ready server gets one. */
const terminateAgainMs = 1_000;

/** How the life of a model process ended. */
export type ModelProcessEnd = { kind: 'stopped' } | { kind: 'failed'; reason: string };

/** What a model process needs: the part to play and where to log. */
export interface ModelProcessOptions extends PrepareOptions {
  logger: Logger;
}

/** A model server that runs, and its log (null when its output is thrown away). */
interface Running {
  child: ModelChild;
  log: ModelLogReader | null;
}

/**
 * One life of one model server, from removing what an earlier one left to the last process of its group. It never starts
 * a second server: PM2 starts a new supervisor, so that `pm2 status` counts every failure.
 */
export class ModelProcess {
  readonly #options: ModelProcessOptions;
  readonly #files: ProcessFiles;
  readonly #port: number;
  readonly #board: StatusBoard;
  readonly #logger: Logger;
  readonly #stop = new AbortController();
  readonly #stopAsked: Promise<'stop'>;
  #life: Promise<ModelProcessEnd> | null = null;

  constructor(options: ModelProcessOptions) {
    const { config, role, replica, logger } = options;
    this.#options = options;
    this.#logger = logger;
    this.#files = processFiles(config, role, replica);
    this.#port = modelPort(config, role, replica);
    this.#stopAsked = new Promise(resolve => {
      this.#stop.signal.addEventListener('abort', () => resolve('stop'));
    });
    const { failedStarts, lastError } = readStartRecord(this.#files.starts);
    const first = {
      app: this.#files.app,
      role,
      engine: config.models[role].engine,
      detail: 'looking at what is there',
      lastError,
      supervisorPid: process.pid,
      pid: null,
      port: this.#port,
      gpu: null,
      failedStarts,
      logFile: this.#files.log,
    };
    this.#board = new StatusBoard(this.#files.status, first, logger);
  }

  get status(): Readonly<ModelProcessStatus> {
    return this.#board.status;
  }

  /** Lives once. Throws ConfigError when no start can succeed before somebody changes something. */
  run(): Promise<ModelProcessEnd> {
    this.#life ??= this.#live();
    return this.#life;
  }

  /** Ends the model server and waits until no process of it is left. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#life?.catch(() => {});
  }

  async #live(): Promise<ModelProcessEnd> {
    let command: PreparedCommand;
    try {
      await this.#removeLeftover();
      command = await this.#prepare();
      await this.#backOff();
      await this.#awaitEarlierReplica();
    } catch (error) {
      if (this.#stop.signal.aborted) return this.#endStopped();
      const reason = (error as Error).message;
      this.#board.enter('failed', reason, { lastError: reason });
      throw error;
    }

    const running = await this.#start(command);
    const { child } = running;
    const end = new AbortController();
    try {
      const ready = this.#becomeReady(running, end.signal);
      const first = await Promise.race([child.exited, this.#stopAsked, ready]);
      if (this.#stop.signal.aborted) return await this.#endOnRequest(child);
      if (first !== null) return await this.#endFailed(running, first);

      this.#enterReady(end.signal);
      const last = await Promise.race([child.exited, this.#stopAsked]);
      if (last === 'stop') return await this.#endOnRequest(child);
      return await this.#endFailed(running, last);
    } finally {
      end.abort();
    }
  }

  async #removeLeftover(): Promise<void> {
    const pgid = await removeLeftover({
      app: this.#files.app,
      groupFile: this.#files.group,
      onDetail: detail => this.#board.describe(detail),
      stop: this.#stop.signal,
    });
    if (pgid !== null) {
      this.#logger.warn(`killed a model server that an earlier supervisor left (process group ${pgid})`);
    }
    this.#removeGroupFiles();
  }

  async #prepare(): Promise<PreparedCommand> {
    this.#board.describe('checking program, model and port');
    await ensurePortIsFree(this.#options.role, this.#port);
    return prepareCommand(this.#options);
  }

  async #backOff(): Promise<void> {
    this.#stop.signal.throwIfAborted();
    const waitMs = backOffMs(this.#board.status.failedStarts);
    if (waitMs === 0) return;
    this.#board.enter('backing-off', `waiting ${waitMs / 1000} s before the next start`);
    await delay(waitMs, undefined, { signal: this.#stop.signal });
  }

  async #awaitEarlierReplica(): Promise<void> {
    const { config, role, replica } = this.#options;
    if (replica === 0 || this.#board.status.engine !== 'vllm') return;
    const { status, app } = processFiles(config, role, replica - 1);
    await awaitEarlierReplica({
      status,
      app,
      onDetail: detail => this.#board.describe(detail),
      stop: this.#stop.signal,
    });
  }

  async #start(prepared: PreparedCommand): Promise<Running> {
    const command = await withDeathSignal(prepared);
    const shown = shownCommand(command);
    this.#logger.info(`running ${shown}`);
    const target = openModelLog(this.#files.log, `--- ${new Date().toISOString()} running ${shown}`);
    if (target.problem !== null) {
      this.#logger.warn(`the model server's output is thrown away: ${target.problem}`);
    }
    const child = startChild(command, target.output);
    if (target.output !== 'ignore') closeSync(target.output);
    if (child.pid !== null) this.#writeGroupFiles(child.pid);
    this.#board.enter('loading', 'starting the program', { pid: child.pid, gpu: prepared.gpu });
    const log = target.problem === null ? new ModelLogReader(this.#files.log, target.startsAt) : null;
    return { child, log };
  }

  #becomeReady({ log }: Running, end: AbortSignal): Promise<string | null> {
    const { config, role } = this.#options;
    const url = `http://127.0.0.1:${this.#port}`;
    return awaitReadiness({
      server: { role, url, servedName: config.models[role].served_name },
      log,
      onDetail: detail => this.#board.describe(detail),
      stop: AbortSignal.any([end, this.#stop.signal]),
    });
  }

  #enterReady(end: AbortSignal): void {
    const seconds = ((Date.now() - this.#board.status.since) / 1000).toFixed(1);
    this.#board.enter('ready', `answers on port ${this.#port}, after ${seconds} s`, { lastError: null });
    const timer = setTimeout(() => {
      this.#attempt('the record of failed starts', () => clearStartRecord(this.#files.starts));
      this.#board.describe(this.#board.status.detail, { failedStarts: 0 });
    }, steadyAfterMs);
    end.addEventListener('abort', () => clearTimeout(timer));
  }

  async #endOnRequest(child: ModelChild): Promise<ModelProcessEnd> {
    const isLoading = this.#board.status.state === 'loading';
    this.#board.enter('stopping', 'asked the model server to end');
    const deadline = performance.now() + graceMs[this.#board.status.engine];
    const gone = child.exited.then(() => true);
    while (performance.now() < deadline) {
      child.terminate();
      const restMs = deadline - performance.now();
      const pauseMs = isLoading ? Math.min(terminateAgainMs, restMs) : restMs;
      if (await Promise.race([gone, delay(pauseMs, false, { ref: false })])) break;
    }
    const survivors = await this.#killGroup(child);
    if (survivors !== null) {
      this.#board.enter('failed', survivors, { lastError: survivors });
      return { kind: 'failed', reason: survivors };
    }
    return this.#endStopped();
  }

  #endStopped(): ModelProcessEnd {
    // Somebody stopped it on purpose: the next start is a fresh one.
    this.#attempt('the record of failed starts', () => clearStartRecord(this.#files.starts));
    this.#board.remove();
    return { kind: 'stopped' };
  }

  async #endFailed({ child, log }: Running, cause: ChildExit | string): Promise<ModelProcessEnd> {
    const { state, since } = this.#board.status;
    const readyForMs = state === 'ready' ? Date.now() - since : 0;
    const survivors = await this.#killGroup(child);
    const ending = typeof cause === 'string' ? cause : endReason(cause, log?.explanation() ?? null);
    const reason = survivors === null ? ending : `${ending}; ${survivors}`;
    const failedStarts = failedStartsAfter(this.#board.status.failedStarts, readyForMs);
    this.#attempt('the record of failed starts', () => {
      writeStartRecord(this.#files.starts, { failedStarts, lastError: reason });
    });
    const pid = survivors === null ? null : child.pid;
    this.#board.enter('failed', reason, { pid, lastError: reason, failedStarts });
    return { kind: 'failed', reason };
  }

  /** Null when no process is left; else who is, and their record stays for the next life to try again. */
  async #killGroup(child: ModelChild): Promise<string | null> {
    const survivors = child.pid === null ? [] : await killGroup(child.pid);
    if (survivors.length > 0) return `its processes ${survivors.join(', ')} cannot be killed`;
    this.#removeGroupFiles();
    return null;
  }

  #writeGroupFiles(pgid: number): void {
    this.#attempt('the group file', () => recordGroup(this.#files.group, pgid));
    this.#attempt('the pid file', () => {
      mkdirSync(dirname(this.#files.pid), { recursive: true });
      writeFileSync(this.#files.pid, `${pgid}\n`);
    });
  }

  #removeGroupFiles(): void {
    this.#attempt('the group file', () => rmSync(this.#files.group, { force: true }));
    this.#attempt('the pid file', () => rmSync(this.#files.pid, { force: true }));
  }

  /** A full or read-only disk must not take a model down. */
  #attempt(what: string, write: () => void): void {
    try {
      write();
    } catch (error) {
      this.#logger.warn(`${what} cannot be written: ${(error as Error).message}`);
    }
  }
}
