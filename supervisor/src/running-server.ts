import { closeSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Logger } from '@er-gateway/shared/logger';
import { killGroup, recordGroup } from '@er-gateway/shared/process-group';
import { attempt } from './attempt.ts';
import { type ChildExit, type ModelChild, startChild, withDeathSignal } from './child.ts';
import type { ModelCommand } from './command-inputs.ts';
import { lowerPriority } from './lower-priority.ts';
import type { ModelLog } from './model-log.ts';
import { type OutputPipe, openOutputPipe } from './output-pipe.ts';
import type { ProcessFiles } from './process-files.ts';
import { shownCommand } from './shown-command.ts';

/** Where a server's output goes and where it is written down. */
export interface ServerSurroundings {
  files: ProcessFiles;
  log: ModelLog;
  logger: Logger;
  /** How far others go before it on busy cores, 0 to 19. */
  niceness: number;
}

/** A model server that runs: its process group, the pipe that takes its output, and the files that name it. */
export class RunningServer {
  readonly #child: ModelChild;
  readonly #output: OutputPipe | null;
  readonly #surroundings: ServerSurroundings;

  /** Starts it in a group of its own and writes down who it is. */
  static async start(command: ModelCommand, surroundings: ServerSurroundings): Promise<RunningServer> {
    const { files, log, logger } = surroundings;
    const whole = await withDeathSignal(command);
    const shown = shownCommand(whole);
    logger.info(`running ${shown}`);
    log.note(`--- ${new Date().toISOString()} running ${shown}`);
    const output = await openOutputPipe(files.output, chunk => log.add(chunk)).catch((error: Error) => {
      logger.warn(`the model server's output is thrown away: ${error.message}`);
      return null;
    });
    attempt(logger, 'the folder of its sockets', () =>
      mkdirSync(files.sockets, { recursive: true, mode: 0o700 }),
    );
    const child = startChild(whole, output?.input ?? 'ignore');
    if (output) closeSync(output.input);
    return new RunningServer(child, output, surroundings);
  }

  private constructor(child: ModelChild, output: OutputPipe | null, surroundings: ServerSurroundings) {
    this.#child = child;
    this.#output = output;
    this.#surroundings = surroundings;
    const { pid } = child;
    if (pid === null) return;
    const { files, logger, niceness } = surroundings;
    lowerPriority(pid, niceness).catch((error: Error) => {
      logger.warn(`the model server does not give way to others: ${error.message}`);
    });
    attempt(logger, 'the group file', () => recordGroup(files.group, pid));
    attempt(logger, 'the pid file', () => {
      mkdirSync(dirname(files.pid), { recursive: true });
      writeFileSync(files.pid, `${pid}\n`);
    });
  }

  /** Process id and group id; null when it could not be started. */
  get pid(): number | null {
    return this.#child.pid;
  }

  get exited(): Promise<ChildExit> {
    return this.#child.exited;
  }

  /** SIGTERM to the leader alone. */
  terminate(): void {
    this.#child.terminate();
  }

  /**
   * Kills what is left of the group and takes its last words. Null when no process is left; else who is, and the files that
   * name them stay for the next life to try again.
   */
  async killAll(): Promise<string | null> {
    const survivors = this.pid === null ? [] : await killGroup(this.pid);
    await this.#output?.ended();
    if (survivors.length > 0) return `its processes ${survivors.join(', ')} cannot be killed`;
    removeGroupFiles(this.#surroundings);
    return null;
  }
}

/** Removes what a process group has left, and the files that name it: it is gone. */
export function removeGroupFiles({ files, logger }: Pick<ServerSurroundings, 'files' | 'logger'>): void {
  attempt(logger, 'the group file', () => rmSync(files.group, { force: true }));
  attempt(logger, 'the pid file', () => rmSync(files.pid, { force: true }));
  attempt(logger, 'its sockets', () => rmSync(files.sockets, { recursive: true, force: true }));
}
