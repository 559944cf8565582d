import { execFileSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { projectRoot } from '../../kit/stack.ts';
import { vllmCache } from '../../kit/vllm/paths.ts';

/** What was measured: the versions of everything that has a part in the figures; null where it is not there. */
export interface Versions {
  /** Git revision of this project, with a plus when files differ from it. */
  project: string | null;
  node: string;
  vllm: string | null;
  orjson: string | null;
  torch: string | null;
  wrk: string | null;
  nginx: string | null;
  pm2: string;
  express: string;
  'http-proxy-middleware': string;
  undici: string;
}

/** Looks them all up. */
export function describeVersions(): Versions {
  return {
    project: gitRevision(),
    node: process.version,
    vllm: pythonPackage('vllm'),
    orjson: pythonPackage('orjson'),
    torch: pythonPackage('torch'),
    wrk: spoken('wrk', ['--version'], /wrk (\S+)/),
    nginx: spoken('nginx', ['-v'], /nginx\/(\S+)/),
    pm2: npmPackage('pm2'),
    express: npmPackage('express'),
    'http-proxy-middleware': npmPackage('http-proxy-middleware'),
    undici: npmPackage('undici'),
  };
}

function gitRevision(): string | null {
  const git = (...args: string[]) =>
    execFileSync('git', args, {
      cwd: projectRoot,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  try {
    return `${git('rev-parse', 'HEAD')}${git('status', '--porcelain') === '' ? '' : '+'}`;
  } catch {
    return null;
  }
}

const npmPackage = (name: string) =>
  (
    JSON.parse(readFileSync(join(projectRoot, 'node_modules', name, 'package.json'), 'utf8')) as {
      version: string;
    }
  ).version;

/** From the name of its folder: asking Python takes seconds. */
function pythonPackage(name: string): string | null {
  const [folder] = globSync(join(vllmCache, `venv/lib/python*/site-packages/${name}-*.dist-info`));
  return folder ? basename(folder, '.dist-info').slice(name.length + 1) : null;
}

/** What a program says of itself, on stdout or stderr, with whatever exit status. */
function spoken(program: string, args: string[], pattern: RegExp): string | null {
  try {
    return (
      pattern.exec(
        execFileSync('sh', ['-c', `${program} ${args.join(' ')} 2>&1 || true`], { encoding: 'utf8' }),
      )?.[1] ?? null
    );
  } catch {
    return null;
  }
}
