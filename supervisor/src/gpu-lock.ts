import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { bootId, readProcess } from '@er-gateway/shared/process-table';

const pollMs = 250;

/** Who loads on a GPU. */
interface Holder {
  app: string;
  pid: number;
  startTicks: number;
  bootId: string;
}

export interface GpuLockWait {
  /** The lock of this GPU. */
  file: string;
  app: string;
  onDetail: (detail: string) => void;
  stop: AbortSignal;
}

/**
 * Waits until no other model server loads on this GPU, and keeps others from it until the function that it resolves to is
 * called, or this process is gone. vLLM measures the free memory while it starts: two at once would each count the other's.
 * Throws when `stop` aborts.
 */
export async function lockGpu({ file, app, onDetail, stop }: GpuLockWait): Promise<() => void> {
  const { pid } = process;
  const holder: Holder = { app, pid, startTicks: readProcess(pid)?.startTicks ?? 0, bootId: bootId() };
  const mine = JSON.stringify(holder);
  // A link appears with its content, all at once.
  const draft = `${file}.${pid}`;
  writeFileSync(draft, mine, { mode: 0o600 });
  try {
    while (!isTaken(draft, file)) {
      const text = readOrEmpty(file);
      const other = holderIn(text);
      if (other !== null && isAlive(other)) {
        onDetail(`waiting for ${other.app}, which loads on the same GPU`);
        await delay(pollMs, undefined, { signal: stop });
      } else removeStale(file, text, pid);
    }
  } finally {
    rmSync(draft, { force: true });
  }
  return () => {
    if (readOrEmpty(file) === mine) rmSync(file, { force: true });
  };
}

function isTaken(draft: string, file: string): boolean {
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Takes the lock of a dead holder away; one that another process took meanwhile is put back. */
function removeStale(file: string, stale: string, pid: number): void {
  const aside = `${file}.${pid}.stale`;
  try {
    renameSync(file, aside);
    if (readOrEmpty(aside) !== stale) linkSync(aside, file);
  } catch {
    // Somebody else was quicker: the next look tells.
  }
  rmSync(aside, { force: true });
}

const isAlive = ({ pid, startTicks, bootId: boot }: Holder) =>
  boot === bootId() && readProcess(pid)?.startTicks === startTicks;

function holderIn(text: string): Holder | null {
  try {
    return JSON.parse(text) as Holder;
  } catch {
    return null;
  }
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
