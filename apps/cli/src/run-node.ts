import { spawn } from 'node:child_process';

/** A Node process beside us. */
export interface NodeProcess {
  /** What it wrote so far. */
  output: () => string;
  /** null while it runs. */
  exitCode: () => number | null;
  ended: Promise<void>;
  /** SIGTERM, and SIGKILL to one that does not end in time. */
  stop: () => Promise<void>;
}

const stopTimeoutMs = 10_000;

/** Starts this Node with `args`, its output kept. */
export function startNode(root: string, args: string[], environment: NodeJS.ProcessEnv): NodeProcess {
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => chunks.push(chunk));
  let code: number | null = null;
  const ended = new Promise<void>(resolve => {
    child.on('error', () => resolve());
    child.on('close', exitCode => {
      code = exitCode ?? 1;
      resolve();
    });
  });
  return {
    output: () => Buffer.concat(chunks).toString(),
    exitCode: () => code,
    ended,
    stop: async () => {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** Runs this Node with `args` in the user's terminal; resolves to its exit status. */
export function runNode(root: string, args: string[], environment: NodeJS.ProcessEnv): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: root, env: environment, stdio: 'inherit' });
    child.on('error', reject);
    child.on('close', code => resolve(code ?? 1));
  });
}
