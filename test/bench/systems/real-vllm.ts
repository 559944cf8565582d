import type { Role } from '@er-gateway/shared/config/schema';
import { startVllm } from '../../kit/vllm/server.ts';
import { descendantsOf, readProcesses } from '../measure/process-table.ts';

/** A real vLLM server on a tiny checkpoint. */
export interface RealVllm {
  url: string;
  version: string;
  /** The process that serves HTTP, which small models are limited by. */
  apiPid: number;
  /** Its engine and workers. */
  enginePids: number[];
  stop: () => Promise<void>;
}

/** Starts one and finds its processes. */
export async function startRealVllm(role: Role): Promise<RealVllm> {
  const { url, stop } = await startVllm(role);
  try {
    const { version } = (await (await fetch(`${url}/version`)).json()) as { version: string };
    const apiPid = findServer(new URL(url).port);
    return { url, version, apiPid, enginePids: descendantsOf(apiPid), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The `vllm serve` on this port: the process that no process of the same command started. */
export function findServer(port: string): number {
  const found = readProcesses().filter(({ command }) => command.includes(`--port ${port} `));
  const first = found.find(entry => !found.some(other => other.pid === entry.parent));
  if (!first) throw new Error(`no vLLM process on port ${port}`);
  return first.pid;
}
