import { request } from 'node:http';
import type { ControlSocket } from '../../../apps/cli/src/control-sockets.ts';

/** Requests at once; each opens a connection of its own, which PM2's daemon gives to the next worker. */
const atOnce = 64;

/**
 * The workers among `sockets` that have answered a request on the gateway's port, by their own count. PM2 hands new
 * connections round, so a few rounds of one-request connections reach all of them; which did not is asked again.
 */
export class WorkerAnswers {
  readonly #answered = new Set<number>();

  get count(): number {
    return this.#answered.size;
  }

  /** Sends requests on new connections, then asks each worker that was not seen yet what it has answered. */
  async look(url: string, key: string, sockets: readonly ControlSocket[]): Promise<void> {
    await Promise.all(Array.from({ length: atOnce }, () => getOnce(`${url}/v1/models`, key)));
    const unseen = sockets.filter(({ pid }) => !this.#answered.has(pid));
    await Promise.all(
      unseen.map(async ({ pid, path }) => {
        if (await hasAnswered(path)) this.#answered.add(pid);
      }),
    );
  }
}

/** One request on a connection of its own; failures do not matter here. */
function getOnce(url: string, key: string): Promise<void> {
  return new Promise(resolve => {
    const sent = request(url, { agent: false, headers: { authorization: `Bearer ${key}` } }, response => {
      response.resume().on('close', resolve);
    });
    sent.on('error', () => resolve());
    sent.end();
  });
}

interface Metric {
  name: string;
  values: { labels: Record<string, string>; value: number }[];
}

/** Whether the process on this control socket has answered a request with 200. */
function hasAnswered(socketPath: string): Promise<boolean> {
  return new Promise(resolve => {
    const sent = request({ socketPath, path: '/metrics', agent: false }, response => {
      let text = '';
      response.setEncoding('utf8').on('data', chunk => {
        text += chunk;
      });
      response.on('end', () => {
        const requests = (JSON.parse(text) as Metric[]).find(({ name }) => name === 'er_requests_total');
        resolve(requests?.values.some(({ labels, value }) => labels.status === '200' && value > 0) ?? false);
      });
    });
    sent.on('error', () => resolve(false));
    sent.end();
  });
}
