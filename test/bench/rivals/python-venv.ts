import { execFile } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { projectRoot } from '../../kit/stack.ts';

const run = promisify(execFile);
const installTimeoutMs = 10 * 60_000;

/** Where a rival from PyPI is installed; ignored by git, safe to delete. */
export const venvOf = (name: string) => join(projectRoot, '.cache/bench', name);

/** Installs a package into a virtual environment of its own, once. Returns the version. */
export async function installPython(name: string, requirement: string): Promise<string> {
  const folder = venvOf(name);
  const stamp = join(folder, 'requirement');
  const python = join(folder, 'bin/python');
  if (!existsSync(stamp)) {
    await run('python3', ['-m', 'venv', folder]);
    const pip = [
      '-m',
      'pip',
      'install',
      '--quiet',
      '--no-compile',
      '--disable-pip-version-check',
      requirement,
    ];
    await run(python, pip, { timeout: installTimeoutMs });
    writeFileSync(stamp, requirement);
  }
  const code = `import importlib.metadata as m; print(m.version(${JSON.stringify(name)}))`;
  return (await run(python, ['-c', code])).stdout.trim();
}
