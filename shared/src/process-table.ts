import { readdirSync, readFileSync } from 'node:fs';

/** Linux counts in hundredths of a second for programs, whatever the kernel's own clock (USER_HZ). */
const ticksPerSecond = 100;
const pageBytes = 4096;

/** One process as the kernel shows it in /proc/<pid>/stat (proc(5)). */
export interface ProcessEntry {
  pid: number;
  /** `Z` is a zombie: dead, waiting to be reaped by its parent. */
  state: string;
  group: number;
  session: number;
  /** Clock ticks since boot; with the pid it names a process once and for all. */
  startTicks: number;
  /** CPU time used so far, user and system. */
  cpuSeconds: number;
  /** Memory in RAM, shared pages included. */
  residentBytes: number;
}

/** The process with this id; null when there is none (or no /proc). */
export function readProcess(pid: number): ProcessEntry | null {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return null;
  }
}

/** Parses /proc/<pid>/stat. The name in parentheses may hold spaces and parentheses itself, so fields count from its end. */
export function parseStat(text: string): ProcessEntry {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const number = (index: number) => Number(fields[index]);
  return {
    pid: Number.parseInt(text, 10),
    state: fields[0] ?? '',
    group: number(2),
    session: number(3),
    startTicks: number(19),
    cpuSeconds: (number(11) + number(12)) / ticksPerSecond,
    residentBytes: number(21) * pageBytes,
  };
}

/**
 * Living processes of a group that we started (its leader also leads the session). Zombies are left out: in a container
 * whose init does not reap they stay for ever and hold nothing.
 */
export function groupMembers(pgid: number): ProcessEntry[] {
  return allPids()
    .map(readProcess)
    .filter(entry => entry !== null)
    .filter(entry => entry.group === pgid && entry.session === pgid && !isDead(entry));
}

/** A zombie whose threads are gone too; until then its sockets and memory are still held. */
function isDead({ pid, state }: ProcessEntry): boolean {
  if (state !== 'Z' && state !== 'X') return false;
  try {
    return readdirSync(`/proc/${pid}/task`).length <= 1;
  } catch {
    return true;
  }
}

function allPids(): number[] {
  try {
    return readdirSync('/proc')
      .filter(name => /^\d+$/.test(name))
      .map(Number);
  } catch {
    return [];
  }
}

/** Names this boot of the machine; start times count from it. */
export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
}
