import { spawn } from 'node:child_process';

/** Runs this Node with `args` in the user's terminal; resolves to its exit status. */
export function runNode(root: string, args: string[], environment: NodeJS.ProcessEnv): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: root, env: environment, stdio: 'inherit' });
    child.on('error', reject);
    child.on('close', code => resolve(code ?? 1));
  });
}
