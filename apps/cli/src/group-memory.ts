import { readdirSync, readFileSync } from 'node:fs';

const pageBytes = 4096;

/** One process of a group. */
export interface GroupMember {
  pid: number;
  /** Memory in RAM, shared pages counted in each process that has them. */
  residentBytes: number;
}

/** The living processes of a process group, by /proc. */
export function groupMembers(pgid: number): GroupMember[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(pid => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        // State, parent and group come after the name, which may hold spaces and parentheses (proc(5)).
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        if (Number(fields[2]) !== pgid) return [];
        return [{ pid: Number(pid), residentBytes: Number(fields[21]) * pageBytes }];
      } catch {
        return [];
      }
    });
}
