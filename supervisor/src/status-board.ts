import { rmSync } from 'node:fs';
import type { Logger } from '@er-gateway/shared/logger';
import {
  type ModelProcessState,
  type ModelProcessStatus,
  readStatusFile,
  writeModelProcessStatus,
} from '@er-gateway/shared/model-process-status';
import { canEnter } from './states.ts';

/** What a change of state may change besides. */
type Facts = Partial<
  Pick<
    ModelProcessStatus,
    | 'pid'
    | 'gpu'
    | 'gpuMemoryShare'
    | 'lastError'
    | 'failedStarts'
    | 'startedAt'
    | 'nextStartAt'
    | 'usualLoadMs'
  >
>;

/** The one owner of a model process's state: every step is checked against the table and published at once. */
export class StatusBoard {
  readonly #file: string;
  readonly #logger: Logger;
  #status: ModelProcessStatus;
  #isFileBroken = false;

  constructor(file: string, first: Omit<ModelProcessStatus, 'state' | 'since' | 'detail'>, logger: Logger) {
    this.#file = file;
    this.#logger = logger;
    this.#status = { ...first, state: 'stopped', detail: '', since: Date.now() };
  }

  get status(): Readonly<ModelProcessStatus> {
    return this.#status;
  }

  /** Goes to another state. Throws on a step that is not in the table: a bug. */
  enter(state: ModelProcessState, detail: string, facts: Facts = {}): void {
    const from = this.#status.state;
    if (!canEnter(from, state)) throw new Error(`a model process cannot go from ${from} to ${state}`);
    this.#status = { ...this.#status, ...facts, state, detail, since: Date.now() };
    this.#logger.info(`${state}: ${detail}`);
    this.#publish();
  }

  /** Says more about the present state. */
  describe(detail: string, facts: Facts = {}): void {
    if (detail === this.#status.detail && Object.keys(facts).length === 0) return;
    this.#status = { ...this.#status, ...facts, detail };
    this.#publish();
  }

  /** Takes the file away: no model process is there any more. Leaves one that another supervisor wrote. */
  remove(): void {
    if (readStatusFile(this.#file)?.supervisorPid !== process.pid) return;
    rmSync(this.#file, { force: true });
  }

  #publish(): void {
    try {
      writeModelProcessStatus(this.#file, this.#status);
      this.#isFileBroken = false;
    } catch (error) {
      // A full disk must not take the model down; said once.
      if (!this.#isFileBroken) this.#logger.warn('the status file cannot be written', { error });
      this.#isFileBroken = true;
    }
  }
}
