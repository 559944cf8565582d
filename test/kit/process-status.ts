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
  return Promise.all(
    sockets.map(async ({ pid, path }) => ({ pid, status: (await ask(path, '/status')) as Status })),
  );
}

/** Every series of every living process of `app`, as in the text format: `er_queue_items{model=embedding}`; several processes are summed. */
export async function seriesOf(runDir: string, app: string): Promise<Map<string, number>> {
  const series = new Map<string, number>();
  for (const socket of controlSockets(runDir).filter(known => known.app === app)) {
    for (const { name, values } of (await ask(socket.path, '/metrics')) as MetricAnswer[]) {
      for (const { value, labels, metricName = name } of values) {
        const parts = Object.entries(labels).map(([label, text]) => `${label}=${text}`);
        const key = `${metricName}${parts.length > 0 ? `{${parts.join(',')}}` : ''}`;
        series.set(key, (series.get(key) ?? 0) + value);
      }
    }
  }
  return series;
}

interface MetricAnswer {
  name: string;
  values: { value: number; labels: Record<string, string | number>; metricName?: string }[];
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

function ask(socketPath: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path }, response => {
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
