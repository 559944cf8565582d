import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Longest pause of an event loop in a quarter of a second, by the clock, and by its thread's own CPU time. */
export interface Pause {
  app: string;
  /** Unix time in milliseconds. */
  at: number;
  longestMs: number;
  longestBusyMs: number;
}

const probe = join(import.meta.dirname, '../fixtures/event-loop-probe.cjs');

/** Watches the event loops of every process that is started with `env`. On the clock, a wait for a core is a pause too. */
export function watchEventLoops(folder: string): {
  env: Record<string, string>;
  pausesSince: (at: number) => Pause[];
} {
  mkdirSync(folder, { recursive: true });
  return {
    env: { NODE_OPTIONS: `--require=${probe}`, BENCH_PROBE_DIR: folder },
    pausesSince: at =>
      readdirSync(folder)
        .flatMap(name => readFileSync(join(folder, name), 'utf8').trimEnd().split('\n'))
        .filter(Boolean)
        .map(line => JSON.parse(line) as Pause)
        .filter(pause => pause.at >= at),
  };
}
