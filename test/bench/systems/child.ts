import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { waitFor } from '../../kit/wait-for.ts';

/** A server that the bench started, in a process group of its own. */
export interface Child {
  pid: number;
  /** What it wrote so far. */
  output: () => string;
  stop: () => Promise<void>;
}

export interface ChildOptions {
  command: readonly string[];
  /** Answers with a success when the server is up. */
  readyUrl: string;
  env?: NodeJS.ProcessEnv;
  timeoutMs?: number;
  /** Before it has started others. */
  onSpawned?: (child: ChildProcess) => Promise<void>;
}

/** Starts a server and waits until it answers. Throws with its output when it does not. */
export async function startChild({
  command,
  readyUrl,
  env = process.env,
  timeoutMs = 30_000,
  onSpawned = async () => {},
}: ChildOptions): Promise<Child> {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { detached: true, stdio: ['ignore', 'pipe', 'pipe'], env });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => lines.push(String(chunk)));
  const failed = new Promise<never>((_, reject) => child.once('error', reject));
  const output = () => lines.join('');
  const stop = () => stopGroup(child);
  try {
    if (child.pid !== undefined) await onSpawned(child);
    await Promise.race([
      failed,
      waitFor(`an answer of ${readyUrl}`, async () => hasEnded(child) || (await fetch(readyUrl)).ok, {
        timeoutMs,
      }),
    ]);
    if (hasEnded(child)) throw new Error(`${program} ended with ${child.exitCode ?? child.signalCode}`);
  } catch (error) {
    await stop();
    throw new Error(`${command.join(' ')} did not start:\n${output().slice(-4000)}`, { cause: error });
  }
  return { pid: child.pid as number, output, stop };
}

const hasEnded = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null;

async function stopGroup(child: ChildProcess): Promise<void> {
  if (child.pid === undefined) return;
  const exited = hasEnded(child) ? undefined : once(child, 'exit');
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
  await exited;
}
