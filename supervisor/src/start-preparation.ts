import { setTimeout as delay } from 'node:timers/promises';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import { awaitEarlierReplica } from './await-earlier-replica.ts';
import { backOffMs, readStartRecord } from './back-off.ts';
import { awaitGpuMemory } from './gpu.ts';
import { lockGpu } from './gpu-lock.ts';
import { removeLeftover } from './leftover.ts';
import type { ModelProcessOptions } from './model-process.ts';
import { ensurePortIsFree } from './port-check.ts';
import { type PreparedCommand, prepareCommand } from './prepare-command.ts';
import { type ProcessFiles, processFiles } from './process-files.ts';
import { removeGroupFiles } from './running-server.ts';
import type { StatusBoard } from './status-board.ts';

/** By experience, for vLLM on the CPU. */
const usualLoadOnCpuMs = 45_000;

/** Who is about to start a model server. */
export interface StartPlace {
  options: ModelProcessOptions;
  files: ProcessFiles;
  port: number;
  board: StatusBoard;
  stop: AbortSignal;
}

/** Everything before a model server runs: waits, leftovers, checks. */
export class StartPreparation {
  readonly #options: ModelProcessOptions;
  readonly #files: ProcessFiles;
  readonly #port: number;
  readonly #board: StatusBoard;
  readonly #stop: AbortSignal;

  constructor({ options, files, port, board, stop }: StartPlace) {
    this.#options = options;
    this.#files = files;
    this.#port = port;
    this.#board = board;
    this.#stop = stop;
  }

  /**
   * Resolves when the server can be started. Throws ConfigError when somebody must change something first, another error
   * when a later start may do, and when it was asked to stop.
   */
  async run(): Promise<{ command: PreparedCommand; unlockGpu: () => void }> {
    // First of all: what comes after it may be what fails.
    await this.#backOff();
    await this.#removeLeftover();
    const command = await this.#prepare();
    await this.#awaitEarlierReplica();
    const unlockGpu = await this.#lockGpu(command);
    try {
      await this.#awaitGpuMemory(command);
    } catch (error) {
      unlockGpu();
      throw error;
    }
    return { command, unlockGpu };
  }

  async #removeLeftover(): Promise<void> {
    const pgid = await removeLeftover({
      app: this.#files.app,
      groupFile: this.#files.group,
      onDetail: detail => this.#board.describe(detail),
      stop: this.#stop,
    });
    if (pgid !== null) {
      this.#options.logger.warn(
        `killed a model server that an earlier supervisor left (process group ${pgid})`,
      );
    }
    removeGroupFiles({ files: this.#files, logger: this.#options.logger });
  }

  async #prepare(): Promise<PreparedCommand> {
    this.#board.describe('checking program, model and port');
    await ensurePortIsFree(this.#options.role, this.#port);
    const command = await prepareCommand(this.#options);
    const { gpu, gpuMemoryShare } = command;
    const isSlow = this.#board.status.engine === 'vllm' && gpu === null;
    const isKnown = readStartRecord(this.#files.starts).loadMs !== null;
    const usual = isSlow && !isKnown ? { usualLoadMs: usualLoadOnCpuMs } : {};
    this.#board.describe(this.#board.status.detail, { gpu, gpuMemoryShare, ...usual });
    return command;
  }

  async #backOff(): Promise<void> {
    this.#stop.throwIfAborted();
    const waitMs = backOffMs(this.#board.status.failedStarts);
    if (waitMs === 0) return;
    const detail = `waiting ${waitMs / 1000} s before the next start`;
    this.#board.describe(detail, { nextStartAt: Date.now() + waitMs });
    await delay(waitMs, undefined, { signal: this.#stop });
    this.#board.describe('starting again', { nextStartAt: null });
  }

  async #awaitEarlierReplica(): Promise<void> {
    const { config, role, replica } = this.#options;
    if (replica === 0 || this.#board.status.engine !== 'vllm') return;
    const { status, app } = processFiles(config, role, replica - 1);
    await awaitEarlierReplica({
      status,
      app,
      onDetail: detail => this.#board.describe(detail),
      stop: this.#stop,
    });
  }

  /** One model server at a time loads on a GPU; it lasts until this one is ready, or has failed. */
  async #lockGpu({ gpu }: PreparedCommand): Promise<() => void> {
    if (gpu === null) return () => {};
    return lockGpu({
      file: runPaths.gpuLock(this.#options.config.run_dir, gpu),
      app: this.#files.app,
      onDetail: detail => this.#board.describe(detail),
      stop: this.#stop,
    });
  }

  async #awaitGpuMemory({ gpu, gpuMemoryShare }: PreparedCommand): Promise<void> {
    if (gpu === null || gpuMemoryShare === null) return;
    await awaitGpuMemory({
      environment: this.#options.environment,
      gpu,
      share: gpuMemoryShare,
      onDetail: detail => this.#board.describe(detail),
      stop: this.#stop,
    });
  }
}
