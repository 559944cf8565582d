import { readdirSync, readFileSync } from 'node:fs';

/** One process of a stack. */
export interface StackProcess {
  pid: number;
  command: string;
}

/** Every living process that has `PM2_HOME=<pm2Home>` in its environment: PM2's daemon, its apps and their children. */
export function stackProcesses(pm2Home: string): StackProcess[] {
  const pids = readdirSync('/proc').filter(name => /^\d+$/.test(name) && Number(name) !== process.pid);
  return pids.flatMap(pid => {
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
      if (!environment.includes(`PM2_HOME=${pm2Home}`)) return [];
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      return command ? [{ pid: Number(pid), command }] : [];
    } catch {
      return [];
    }
  });
}
