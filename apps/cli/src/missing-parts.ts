import type { Pm2Process } from './pm2.ts';
import type { Pm2App } from './pm2-apps.ts';

/** What of the system does not run. */
export interface MissingParts {
  /** Apps none of whose processes runs. */
  apps: Pm2App[];
  /** Processes that do not run, of apps of which others do: a failed replica of two. */
  processes: Pm2Process[];
}

/** Compares the apps that there should be with PM2's list. */
export function missingParts(wanted: readonly Pm2App[], processes: readonly Pm2Process[]): MissingParts {
  const running = new Set(processes.filter(isRunning).map(({ name }) => name));
  const names = new Set(wanted.map(({ name }) => name));
  return {
    apps: wanted.filter(({ name }) => !running.has(name)),
    processes: processes.filter(
      process => names.has(process.name) && running.has(process.name) && !isRunning(process),
    ),
  };
}

const isRunning = ({ status }: Pm2Process) => status === 'online' || status === 'launching';

/** The name of one process among its app's: `embedding`, `embedding-1` for the second. */
export const processName = ({ name, instance }: Pick<Pm2Process, 'name' | 'instance'>) =>
  instance === 0 ? name : `${name}-${instance}`;
