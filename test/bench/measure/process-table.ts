import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** A process as /proc shows it. */
export interface ProcessEntry {
  pid: number;
  parent: number;
  command: string;
  /** User and system time of all its threads so far, in seconds; children that have ended not included. */
  cpuSeconds: number;
}

let ticksPerSecond = 0;

/** Clock ticks, in which /proc counts CPU time, in seconds. */
export function secondsOfTicks(ticks: number): number {
  ticksPerSecond ||= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  return ticks / ticksPerSecond;
}

/** Reads one process; null when it is gone. Fields: proc_pid_stat(5). */
export function readProcess(pid: number): ProcessEntry | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name may hold spaces and brackets; what follows its last bracket does not.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return {
      pid,
      parent: Number(fields[1]),
      command: readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim(),
      cpuSeconds: secondsOfTicks(Number(fields[11]) + Number(fields[12])),
    };
  } catch {
    return null;
  }
}

/** Every process that can be seen. */
export function readProcesses(): ProcessEntry[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(name => readProcess(Number(name)) ?? []);
}

/** CPU seconds of several processes together; those that are gone count nothing. */
export const cpuSecondsOf = (pids: readonly number[]) =>
  pids.reduce((sum, pid) => sum + (readProcess(pid)?.cpuSeconds ?? 0), 0);

/** A process's children, their children, and so on. */
export function descendantsOf(pid: number): number[] {
  const all = readProcesses();
  const below = (parent: number): number[] =>
    all.filter(entry => entry.parent === parent).flatMap(entry => [entry.pid, ...below(entry.pid)]);
  return below(pid);
}

/** Memory that is a process's own plus its share of what it has in common with others, in MB (10^6 bytes). */
export function pssMb(pid: number): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kib = Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1]);
  return (kib * 1024) / 1e6;
}
