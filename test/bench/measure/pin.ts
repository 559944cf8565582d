import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';

/** Puts all threads of processes on the cores of a list such as `0` or `1-3`. */
export function pin(pids: readonly number[], cores: string): void {
  for (const pid of pids) {
    try {
      execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', cores, String(pid)], {
        stdio: 'ignore',
      });
    } catch (error) {
      // Ended meanwhile; but a machine without taskset must be told.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw error;
    }
  }
}

/** All cores, and all but the first, as taskset names them. */
export const allCores = () => `0-${availableParallelism() - 1}`;
export const otherCores = () => (availableParallelism() === 2 ? '1' : `1-${availableParallelism() - 1}`);
