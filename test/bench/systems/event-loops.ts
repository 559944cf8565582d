import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Longest pause of an event loop in a quarter of a second. */
export interface Pause {
  app: string;
  /** Unix time in milliseconds. */
  at: number;
  longestMs: number;
}

const probe = join(import.meta.dirname, '../fixtures/event-loop-probe.cjs');

/** Watches the event loops of every process that is started with `env`. A wait for a core counts as a pause. */
export function watchEventLoops(folder: string): {
  env: Record<string, string>;
  pausesSince: (at: number) => Pause[];
} {
  mkdirSync(folder, { recursive: true });
  return {
    env: { NODE_OPTIONS: `--require=${probe}`, ER_BENCH_PROBE_DIR: folder },
    pausesSince: at =>
      readdirSync(folder)
        .flatMap(name => readFileSync(join(folder, name), 'utf8').trimEnd().split('\n'))
        .filter(Boolean)
        .map(line => JSON.parse(line) as Pause)
        .filter(pause => pause.at >= at),
  };
}
