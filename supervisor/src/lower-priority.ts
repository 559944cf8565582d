import { writeFile } from 'node:fs/promises';
import { constants, getPriority, setPriority } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

/** The kernel takes ten changes of autogroups a second, from all users together (kernel/sched/autogroup.c). */
const betweenAttemptsMs = 150;
const mostAttempts = 10;

/**
 * Lets other processes go first where cores are short: a model server takes all it can get, and what sends it work and takes
 * its answers needs little, but at once. `pid`: leader of a session that has started no others yet; they inherit it.
 *
 * `niceness` (0 to 19, added to what it has) counts within one group of the kernel's scheduler. With autogroups, the default
 * of most kernels, each session is such a group, so the group gets it too: sched(7). Throws when the kernel refuses; not
 * when the process has ended meanwhile.
 */
export async function lowerPriority(pid: number, niceness: number): Promise<void> {
  if (niceness === 0) return;
  try {
    setPriority(pid, Math.min(getPriority(pid) + niceness, constants.priority.PRIORITY_LOW));
    await writeAutogroup(pid, niceness);
  } catch (error) {
    const { code, info } = error as NodeJS.ErrnoException & { info?: { code: string } };
    // No such process any more, or a kernel without autogroups.
    if (!['ESRCH', 'ENOENT'].includes(info?.code ?? code ?? '')) throw error;
  }
}

async function writeAutogroup(pid: number, niceness: number): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await writeFile(`/proc/${pid}/autogroup`, String(niceness));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || attempt === mostAttempts) throw error;
      await delay(betweenAttemptsMs, undefined, { ref: false });
    }
  }
}
