import { join } from 'node:path';
import { freePort } from '../../kit/free-port.ts';
import { startChild } from './child.ts';

/** A proxy in front of one model server. */
export interface ProxyServer {
  url: string;
  /** All its processes. */
  pids: number[];
  stop: () => Promise<void>;
}

const program = join(import.meta.dirname, '../fixtures/bare-proxy-server.ts');

/** Starts the bare Express proxy; resolves when it answers. */
export async function startBareProxy(target: string): Promise<ProxyServer> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const { pid, stop } = await startChild({
    command: [process.execPath, program, '--port', String(port), '--target', target],
    readyUrl: `${url}/health`,
  });
  return { url, pids: [pid], stop };
}
