import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Role } from '@er-gateway/shared/config/schema';
import type { BenchOptions } from './options.ts';
import { type FastUpstream, startFastUpstream } from './systems/fast-upstream.ts';
import { type RealVllm, startRealVllm } from './systems/real-vllm.ts';

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

  /** Keeps what was started until the end of the run. */
  async keep<Started extends { stop: () => Promise<void> }>(starting: Promise<Started>): Promise<Started> {
    const started = await starting;
    // Interrupted while it started.
    if (this.#isClosed) await started.stop();
    else this.#closers.push(() => started.stop());
    return started;
  }

  /** Runs `work` with what was started, and ends that afterwards; at the end of the run when it is interrupted. */
  async using<Started extends { stop: () => Promise<void> }, Result>(
    starting: Promise<Started>,
    work: (started: Started) => Promise<Result>,
  ): Promise<Result> {
    const started = await starting;
    let stopping: Promise<void> | undefined;
    const stop = () => {
      stopping ??= started.stop();
      return stopping;
    };
    this.#closers.push(stop);
    try {
      return await work(started);
    } finally {
      await stop();
    }
  }

  /** Ends all that was started, last first. Throws the first failure after all were tried. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const failures: unknown[] = [];
    for (const close of this.#closers.splice(0).reverse()) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    rmSync(this.folder, { recursive: true, force: true });
    if (failures.length > 0) throw failures[0];
  }

  #once<Started extends { stop: () => Promise<void> }>(
    known: Map<Role, Promise<Started>>,
    role: Role,
    start: () => Promise<Started>,
  ): Promise<Started> {
    const found = known.get(role) ?? this.keep(start());
    known.set(role, found);
    return found;
  }
}
