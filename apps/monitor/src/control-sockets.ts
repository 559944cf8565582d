import { lstat, readdir, readFile, unlink } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import { definitionsHash } from '@er-gateway/shared/metrics/definitions-hash';

/** The socket of one process, found in the control folder. */
export interface ControlSocket {
  /** Names one process for ever: pids come back, the time at which its socket was made does not. */
  key: string;
  app: string;
  pid: number;
  path: string;
  /** When the process made it, Unix time in milliseconds. */
  since: number;
}

/** What came of asking: `gone` when nobody listens there any more, `silent` when no answer came in time. */
export type ControlAnswer = { kind: 'answer'; value: unknown } | { kind: 'gone' } | { kind: 'silent' };

/** A refused socket of a living pid is left alone this long: it may be between bind and listen. */
const bindGraceMs = 10_000;

/** Every process that serves its status, in order of app and pid. */
export async function listControlSockets(runDir: string): Promise<ControlSocket[]> {
  const folder = runPaths.controlDir(runDir);
  const names = await readdir(folder).catch(() => []);
  const found = await Promise.all(names.map(name => describeSocket(folder, name)));
  return found.filter(socket => socket !== null).sort((a, b) => a.app.localeCompare(b.app) || a.pid - b.pid);
}

async function describeSocket(folder: string, name: string): Promise<ControlSocket | null> {
  const [, app, pid] = /^(.+)-(\d+)\.sock$/.exec(name) ?? [];
  if (app === undefined || pid === undefined) return null;
  const path = join(folder, name);
  const stats = await lstat(path).catch(() => null);
  if (!stats?.isSocket()) return null;
  return { key: `${app}-${pid}@${stats.mtimeMs}`, app, pid: Number(pid), path, since: stats.mtimeMs };
}

/** What a process had counted when it ended by itself, which it left in the control folder. */
export interface LastCounts {
  /** The key of its socket. */
  key: string;
  path: string;
}

/** What processes left that have ended. */
export async function listLastCounts(runDir: string): Promise<LastCounts[]> {
  const folder = runPaths.controlDir(runDir);
  const names = await readdir(folder).catch(() => []);
  return names.flatMap(name => {
    const [, key] = /^(.+-\d+@[\d.]+)\.last\.json$/.exec(name) ?? [];
    return key === undefined ? [] : [{ key, path: join(folder, name) }];
  });
}

/** Reads one; undefined when it is not readable, or of another version. */
export async function readLastCounts({ path }: LastCounts): Promise<unknown> {
  try {
    const left = JSON.parse(await readFile(path, 'utf8')) as { definitionsHash: string; metrics: unknown };
    return left.definitionsHash === definitionsHash ? left.metrics : undefined;
  } catch {
    return undefined;
  }
}

/** Asks a process for `/status` or `/metrics`. Never throws. */
export function askControl(
  socket: ControlSocket,
  page: '/status' | '/metrics',
  signal: AbortSignal,
): Promise<ControlAnswer> {
  return new Promise(resolve => {
    const request = get({ socketPath: socket.path, path: page, agent: false, signal }, response => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', () => resolve({ kind: 'silent' }));
      response.on('end', () => {
        try {
          resolve({ kind: 'answer', value: JSON.parse(Buffer.concat(chunks).toString()) });
        } catch {
          resolve({ kind: 'silent' });
        }
      });
    });
    request.on('error', (error: NodeJS.ErrnoException) => {
      const isGone = error.code === 'ENOENT' || (error.code === 'ECONNREFUSED' && hasNoListener(socket));
      resolve({ kind: isGone ? 'gone' : 'silent' });
    });
  });
}

/** Removes what a process that is gone has left. */
export async function removeFile({ path }: ControlSocket | LastCounts): Promise<void> {
  await unlink(path).catch(() => {});
}

function hasNoListener({ pid, since }: ControlSocket): boolean {
  return !isAlive(pid) || Date.now() - since > bindGraceMs;
}

/** Whether a process has this pid, whosever it is. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
