import { join } from 'node:path';
import type { Role } from '@er-gateway/shared/config/schema';
import { freePort } from '../../kit/free-port.ts';
import { startChild } from './child.ts';

/** A model server that costs next to nothing. */
export interface FastUpstream {
  url: string;
  pid: number;
  stop: () => Promise<void>;
}

const program = join(import.meta.dirname, '../fixtures/fast-upstream-server.ts');

/** Starts one; resolves when it answers. */
export async function startFastUpstream(role: Role): Promise<FastUpstream> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const { pid, stop } = await startChild({
    command: [process.execPath, program, '--role', role, '--port', String(port)],
    readyUrl: `${url}/health`,
  });
  return { url, pid, stop };
}
