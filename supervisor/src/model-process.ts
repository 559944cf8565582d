import { setTimeout as delay } from 'node:timers/promises';
import { ConfigError } from '@er-gateway/shared/errors/config-error';
import type { Logger } from '@er-gateway/shared/logger';
import type { ModelServerFacts } from '@er-gateway/shared/metrics/supervisor-metrics';
import type { ModelProcessStatus } from '@er-gateway/shared/model-process-status';
import { groupMembers } from '@er-gateway/shared/process-table';
import { attempt } from './attempt.ts';
import { awaitReadiness } from './await-readiness.ts';
import {
  failedStartsAfter,
  mostFailedStarts,
  readStartRecord,
  type StartRecord,
  steadyAfterMs,
  writeStartRecord,
} from './back-off.ts';
import type { ChildExit } from './child.ts';
import { modelPort } from './command-inputs.ts';
import { drain } from './drain.ts';
import { endReason, isFinal } from './end-reason.ts';
import { watchHealth } from './health-watch.ts';
import { readModelFacts } from './model-facts.ts';
import { ModelLog } from './model-log.ts';
import type { PreparedCommand, PrepareOptions } from './prepare-command.ts';
import { type ProcessFiles, processFiles } from './process-files.ts';
import { canaryProblem, type ModelServer } from './readiness.ts';
import { RunningServer } from './running-server.ts';
import { StartPreparation } from './start-preparation.ts';
import { StatusBoard } from './status-board.ts';

/** Time from the first SIGTERM to SIGKILL. vLLM: its --shutdown-timeout of 20 s and 15 s more; below PM2's kill_timeout. */
const graceMs = { builtin: 5_000, vllm: 35_000, external: 0 };
/** vLLM loses a SIGTERM that comes while it loads, so then it gets one every second. A ready server gets one. */
const terminateAgainMs = 1_000;
/** How long loading takes by experience, until a start has shown it. */
const usualLoadMs = { builtin: 4_000, vllm: 120_000, external: 0 };

/** How the life of a model process ended; a final failure is not mended by another start. */
export type ModelProcessEnd = { kind: 'stopped' } | { kind: 'failed'; reason: string; isFinal: boolean };

/** What a model process needs: the part to play and where to log. */
export interface ModelProcessOptions extends PrepareOptions {
  logger: Logger;
}

/** What a failed life tells #giveIn(). */
interface FailedLife {
  /** Another start cannot mend it. */
  isFinal: boolean;
  /** How long its server had been ready. */
  readyForMs: number;
  facts: { pid?: number | null; startedAt?: null };
}

/** Why a model server must be ended that nobody asked to stop: it ended by itself, or it does not work. */
type Failure = ChildExit | string;

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
  readonly #log: ModelLog;
  readonly #stop = new AbortController();
  readonly #stopAsked: Promise<'stop'>;
  #unlockGpu = () => {};
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
    this.#log = new ModelLog({
      file: this.#files.log,
      maxBytes: config.logs.model_max_bytes,
      keep: config.logs.model_files,
      onProblem: problem => logger.warn(problem),
    });
    const { engine } = config.models[role];
    const { failedStarts, lastError, loadMs } = readStartRecord(this.#files.starts);
    const first = {
      app: this.#files.app,
      role,
      engine,
      lastError,
      supervisorPid: process.pid,
      pid: null,
      port: this.#port,
      gpu: null,
      gpuMemoryShare: null,
      failedStarts,
      startedAt: null,
      nextStartAt: null,
      usualLoadMs: loadMs ?? usualLoadMs[engine],
      logFile: this.#files.log,
    };
    this.#board = new StatusBoard(this.#files.status, first, logger);
  }

  get status(): Readonly<ModelProcessStatus> {
    return this.#board.status;
  }

  /** What its metrics are made of. */
  get facts(): ModelServerFacts {
    const { pid, startedAt, failedStarts } = this.status;
    return { isStarted: startedAt !== null, failedStarts, processes: pid === null ? [] : groupMembers(pid) };
  }

  /** Lives once. */
  run(): Promise<ModelProcessEnd> {
    this.#life ??= this.#live().finally(() => {
      this.#unlockGpu();
      return this.#log.close();
    });
    return this.#life;
  }

  /** Ends the model server and waits until no process of it is left. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#life?.catch(() => {});
  }

  async #live(): Promise<ModelProcessEnd> {
    let command: PreparedCommand;
    let running: RunningServer;
    this.#board.enter('starting', 'looking at what is there');
    try {
      const prepared = await new StartPreparation({
        options: this.#options,
        files: this.#files,
        port: this.#port,
        board: this.#board,
        stop: this.#stop.signal,
      }).run();
      command = prepared.command;
      this.#unlockGpu = prepared.unlockGpu;
      running = await this.#start(command);
    } catch (error) {
      return this.#endUnstarted(error as Error);
    }

    const server = this.#serverOf(command);
    const end = new AbortController();
    try {
      const ready = this.#becomeReady(server, end.signal);
      const first = await Promise.race([running.exited, this.#stopAsked, ready]);
      if (this.#stop.signal.aborted) return await this.#endOnRequest(running);
      if (first !== null) return await this.#endFailed(running, first);

      this.#unlockGpu();
      this.#enterReady(end.signal);
      const broken = this.#watch(server, end.signal);
      const last = await Promise.race([running.exited, this.#stopAsked, broken]);
      if (last === 'stop' || last === null) return await this.#endOnRequest(running);
      return await this.#endFailed(running, last);
    } finally {
      end.abort();
    }
  }

  async #start(command: PreparedCommand): Promise<RunningServer> {
    const server = await RunningServer.start(command, {
      files: this.#files,
      log: this.#log,
      logger: this.#logger,
      niceness: this.#options.config.models[this.#options.role].niceness,
    });
    this.#board.enter('loading', 'starting the program', { pid: server.pid, startedAt: Date.now() });
    return server;
  }

  #serverOf({ args }: PreparedCommand): ModelServer {
    const { config, role } = this.#options;
    const { engine, served_name: servedName, path, max_model_len: maxModelLen } = config.models[role];
    const facts = engine === 'vllm' ? readModelFacts(path) : { dimensions: null, hasRealWeights: false };
    const hasTemplate = args.includes('--chat-template');
    return { role, engine, url: this.#url, servedName, hasTemplate, maxModelLen, ...facts };
  }

  get #url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  #becomeReady(server: ModelServer, end: AbortSignal): Promise<string | null> {
    return awaitReadiness({
      server,
      log: this.#log,
      work: { outputBytes: () => this.#log.addedBytes, cpuSeconds: () => this.#cpuSeconds() },
      onDetail: detail => this.#board.describe(detail),
      onWarning: warning => this.#logger.warn(warning),
      onTesting: () => this.#board.enter('testing', 'testing its answers'),
      stop: AbortSignal.any([end, this.#stop.signal]),
    });
  }

  /** CPU time of the model server's processes. */
  #cpuSeconds(): number {
    return this.facts.processes.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
  }

  #enterReady(end: AbortSignal): void {
    const loadMs = Date.now() - (this.#board.status.startedAt ?? Date.now());
    const detail = `answers on port ${this.#port}, after ${(loadMs / 1000).toFixed(1)} s`;
    this.#board.enter('ready', detail, { lastError: null, usualLoadMs: loadMs });
    this.#keepRecord({ loadMs });
    const timer = setTimeout(() => {
      this.#keepRecord({ failedStarts: 0, lastError: null });
      this.#board.describe(this.#board.status.detail, { failedStarts: 0 });
    }, steadyAfterMs);
    end.addEventListener('abort', () => clearTimeout(timer));
  }

  #watch(server: ModelServer, end: AbortSignal): Promise<string | null> {
    return watchHealth({
      url: server.url,
      test: signal => canaryProblem(server, signal),
      cpuSeconds: this.status.gpu === null ? () => this.#cpuSeconds() : null,
      onDoubt: why => {
        if (this.#board.status.state === 'ready') this.#board.enter('degraded', why);
        else if (this.#board.status.state === 'degraded') this.#board.describe(why);
      },
      onWell: () => {
        if (this.#board.status.state === 'degraded') this.#board.enter('ready', 'answers again');
      },
      stop: AbortSignal.any([end, this.#stop.signal]),
    });
  }

  async #endOnRequest(running: RunningServer): Promise<ModelProcessEnd> {
    const { engine, state } = this.#board.status;
    if (state === 'ready' || state === 'degraded') await this.#drain(running);
    this.#board.enter('stopping', 'asked the model server to end');
    const deadline = performance.now() + graceMs[engine];
    const gone = running.exited.then(() => true);
    while (performance.now() < deadline) {
      running.terminate();
      const restMs = deadline - performance.now();
      const pauseMs = state === 'loading' ? Math.min(terminateAgainMs, restMs) : restMs;
      if (await Promise.race([gone, delay(pauseMs, false, { ref: false })])) break;
    }
    const survivors = await running.killAll();
    if (survivors !== null) {
      this.#board.enter('failed', survivors, { lastError: survivors });
      return { kind: 'failed', reason: survivors, isFinal: false };
    }
    return this.#endStopped();
  }

  async #drain({ exited }: RunningServer): Promise<void> {
    this.#board.enter('draining', 'finishing the calls under way');
    const outcome = await Promise.race([drain(this.#options.config.run_dir, this.#url), exited]);
    if (typeof outcome === 'string') this.#logger.info(`not drained: ${outcome}`);
  }

  #endStopped(): ModelProcessEnd {
    // Somebody stopped it on purpose: the next start is a fresh one.
    this.#board.enter('stopped', 'was asked to stop');
    this.#keepRecord({ failedStarts: 0, lastError: null });
    this.#board.remove();
    return { kind: 'stopped' };
  }

  /** It never came to a server: by the configuration, which is final, or by a GPU tool, a leftover, a disk that may mend. */
  #endUnstarted(error: Error): ModelProcessEnd {
    if (this.#stop.signal.aborted) return this.#endStopped();
    const isConfig = error instanceof ConfigError;
    const reason = isConfig ? error.problems.join('; ') : error.message;
    return this.#giveIn(reason, { isFinal: isConfig, readyForMs: 0, facts: {} });
  }

  async #endFailed(running: RunningServer, cause: Failure): Promise<ModelProcessEnd> {
    const { state, since, startedAt } = this.#board.status;
    const wasReady = state === 'ready' || state === 'degraded';
    const readyForMs = wasReady ? Date.now() - (startedAt ?? since) - this.#board.status.usualLoadMs : 0;
    this.#board.enter('stopping', 'ending what is left of the model server');
    const survivors = await running.killAll();
    const ending = typeof cause === 'string' ? cause : endReason(cause, this.#log.explanation());
    const reason = survivors === null ? ending : `${ending}; ${survivors}`;
    const facts = { pid: survivors === null ? null : running.pid, startedAt: null };
    return this.#giveIn(reason, { isFinal: isFinal(cause), readyForMs, facts });
  }

  /** Counts a failed life, and decides whether PM2 is to begin another. */
  #giveIn(reason: string, { isFinal, readyForMs, facts }: FailedLife): ModelProcessEnd {
    const failedStarts = failedStartsAfter(this.#board.status.failedStarts, readyForMs);
    const isOver = isFinal || failedStarts >= mostFailedStarts;
    const change = { ...facts, lastError: reason, failedStarts };
    this.#keepRecord({ failedStarts: isOver ? 0 : failedStarts, lastError: reason });
    if (!isOver) {
      this.#board.enter('stopped', 'ended by itself; is started again', change);
      return { kind: 'failed', reason, isFinal: false };
    }
    const verdict = isFinal ? reason : `gave up after ${failedStarts} starts: ${reason}`;
    this.#board.enter('failed', verdict, change);
    return { kind: 'failed', reason: verdict, isFinal: true };
  }

  #keepRecord(change: Partial<StartRecord>): void {
    attempt(this.#logger, 'the record of starts', () => writeStartRecord(this.#files.starts, change));
  }
}
