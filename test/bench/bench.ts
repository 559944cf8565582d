import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Role } from '@er-gateway/shared/config/schema';
import type { BenchOptions } from './options.ts';
import { type FastUpstream, startFastUpstream } from './systems/fast-upstream.ts';
import { type RealVllm, startRealVllm } from './systems/real-vllm.ts';

/** What was started and has to end. */
export interface Stoppable {
  stop: () => Promise<void>;
}

/** What scenarios share in one run: options, a temp folder, the slow-to-start servers, and the end of it all. */
export class Bench {
  readonly options: BenchOptions;
  /** Removed at the end. */
  readonly folder = mkdtempSync(join(tmpdir(), 'er-bench-'));
  readonly #closers: (() => unknown)[] = [];
  readonly #vllm = new Map<Role, Promise<RealVllm>>();
  readonly #fast = new Map<Role, Promise<FastUpstream>>();
  readonly #log: (line: string) => void;
  #isClosed = false;

  constructor(options: BenchOptions, log: (line: string) => void) {
    this.options = options;
    this.#log = log;
  }

  /** Whether the run is over, or was interrupted. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Tells the person who waits. */
  log(line: string): void {
    this.#log(line);
  }

  /** The real vLLM of a role, on the tiny checkpoint; started once a run. */
  vllm(role: Role): Promise<RealVllm> {
    return this.#once(this.#vllm, role, () => {
      this.log(`starting vLLM ${role} (a minute or less)`);
      return startRealVllm(role);
    });
  }

  /** A model server that costs next to nothing; started once a run. */
  fast(role: Role): Promise<FastUpstream> {
    return this.#once(this.#fast, role, () => startFastUpstream(role));
  }

  /** Keeps what is being started until the end of the run. */
  keep<Started extends Stoppable>(starting: Promise<Started>): Promise<Started> {
    this.#closeLater(starting);
    return starting;
  }

  /** Runs `work` with what is being started, and ends that afterwards; at once when the run is interrupted. */
  async using<Started extends Stoppable, Result>(
    starting: Promise<Started>,
    work: (started: Started) => Promise<Result>,
  ): Promise<Result> {
    const close = this.#closeLater(starting);
    try {
      return await work(await starting);
    } finally {
      await close();
    }
  }

  /** Ends all that was started, last first. Throws the first failure after all were tried. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const failures: unknown[] = [];
    // Not a list taken now: an interrupted scenario may start one thing more meanwhile.
    for (let close = this.#closers.pop(); close; close = this.#closers.pop()) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    rmSync(this.folder, { recursive: true, force: true });
    if (failures.length > 0) throw failures[0];
  }

  /** Ends it once, however often it is called: also what is still starting when the run is interrupted. */
  #closeLater(starting: Promise<Stoppable>): () => Promise<void> {
    let closing: Promise<void> | undefined;
    const close = () => {
      closing ??= starting.then(
        started => started.stop(),
        () => {}, // Whoever waits for the start has the error.
      );
      return closing;
    };
    this.#closers.push(close);
    return close;
  }

  #once<Started extends Stoppable>(
    known: Map<Role, Promise<Started>>,
    role: Role,
    start: () => Promise<Started>,
  ): Promise<Started> {
    const found = known.get(role) ?? this.keep(start());
    known.set(role, found);
    return found;
  }
}
