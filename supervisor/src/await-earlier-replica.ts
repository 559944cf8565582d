import { setTimeout as delay } from 'node:timers/promises';
import { type ModelProcessStatus, readModelProcess } from '@er-gateway/shared/model-process-status';

const pollMs = 250;
/** How long an earlier replica may take to appear: PM2 starts both supervisors at about the same time. */
const appearMs = 10_000;

export interface EarlierReplica {
  /** Its status file. */
  status: string;
  app: string;
  onDetail: (detail: string) => void;
  stop: AbortSignal;
}

/**
 * Waits while the replica before this one starts. They share a GPU, and vLLM measures the free memory while it starts: two
 * at once would each count the other's. One that fails, waits after a failure or never appears holds nobody up. Throws
 * when `stop` aborts.
 */
export async function awaitEarlierReplica({ status, app, onDetail, stop }: EarlierReplica): Promise<void> {
  const appearsUntil = performance.now() + appearMs;
  let isSaid = false;
  for (;;) {
    const earlier = readModelProcess(status);
    if (earlier === null ? performance.now() > appearsUntil : !isOnItsWay(earlier)) return;
    if (!isSaid) onDetail(`waiting for ${app} to be ready`);
    isSaid = true;
    await delay(pollMs, undefined, { signal: stop });
  }
}

const isOnItsWay = ({ state, nextStartAt }: ModelProcessStatus) =>
  state === 'loading' || state === 'testing' || (state === 'starting' && nextStartAt === null);
