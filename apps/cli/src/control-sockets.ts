import { readdirSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { runPaths } from '@er-gateway/shared/config/run-dir';

/** The socket on which a process tells its status. */
export interface ControlSocket {
  app: string;
  pid: number;
  path: string;
}

/** The control sockets of processes that live: one for each process of ours that is up. */
export function controlSockets(runDir: string): ControlSocket[] {
  const folder = runPaths.controlDir(runDir);
  return namesIn(folder).flatMap(name => {
    const [, app, pid] = /^(.+)-(\d+)\.sock$/.exec(name) ?? [];
    return app && pid && isAlive(Number(pid)) ? [{ app, pid: Number(pid), path: join(folder, name) }] : [];
  });
}

/** `GET /status` of the first living process of `app`; null when there is none, or no answer within a second. */
export async function processStatus<Status>(runDir: string, app: string): Promise<Status | null> {
  const socket = controlSockets(runDir).find(found => found.app === app);
  if (!socket) return null;
  return new Promise(resolve => {
    const asked = request({ socketPath: socket.path, path: '/status', timeout: 1000 }, response => {
      let text = '';
      response.setEncoding('utf8').on('data', chunk => {
        text += chunk;
      });
      response.on('error', () => resolve(null));
      response.on('end', () => resolve(JSON.parse(text) as Status));
    });
    asked.on('timeout', () => asked.destroy());
    asked.on('error', () => resolve(null));
    asked.end();
  });
}

/** Whether a process with this id exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
