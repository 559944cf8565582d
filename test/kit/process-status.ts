import { request } from 'node:http';
import { controlSockets } from '../../apps/cli/src/control-sockets.ts';

/** One process of an app and what it says of itself. */
export interface ProcessStatus<Status> {
  pid: number;
  status: Status;
}

/** `GET /status` of every living process of `app`, asked on its control socket. */
export function processStatuses<Status>(runDir: string, app: string): Promise<ProcessStatus<Status>[]> {
  const sockets = controlSockets(runDir).filter(socket => socket.app === app);
  return Promise.all(sockets.map(async ({ pid, path }) => ({ pid, status: (await ask(path)) as Status })));
}

/** Process ids of the living processes of `app`. */
export function pidsOf(runDir: string, app: string): number[] {
  return controlSockets(runDir)
    .filter(socket => socket.app === app)
    .map(({ pid }) => pid);
}

/** The process id of the one process of `app`. Throws when there is none, or more. */
export function pidOf(runDir: string, app: string): number {
  const pids = pidsOf(runDir, app);
  if (pids.length !== 1 || pids[0] === undefined) throw new Error(`${pids.length} processes of ${app}`);
  return pids[0];
}

function ask(socketPath: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: '/status' }, response => {
      let text = '';
      response.setEncoding('utf8').on('data', chunk => {
        text += chunk;
      });
      response.on('error', reject);
      response.on('end', () => resolve(JSON.parse(text)));
    });
    asked.on('error', reject);
    asked.end();
  });
}
