import { setTimeout as delay } from 'node:timers/promises';
import { ConfigError } from '@er-gateway/shared/errors/config-error';
import {
  hasLivingSupervisor,
  isGroupLeftOver,
  killGroup,
  readGroupRecord,
} from '@er-gateway/shared/process-group';

/** How long the supervisor before us may take to stop its model server: PM2's kill_timeout. */
const predecessorTimeoutMs = 60_000;
const pollMs = 200;

/** What removeLeftover() needs to know and whom it tells. */
export interface LeftoverOptions {
  app: string;
  /** File of the GroupRecord. */
  groupFile: string;
  onDetail: (detail: string) => void;
  stop: AbortSignal;
}

/**
 * Kills the model server that an earlier supervisor left, once that supervisor is gone; returns its group, null when
 * there was none. Throws ConfigError when that supervisor goes on living: two of them would kill each other's servers.
 */
export async function removeLeftover(options: LeftoverOptions): Promise<number | null> {
  const { app, groupFile, onDetail, stop } = options;
  const record = readGroupRecord(groupFile);
  if (record === null) return null;
  const deadline = performance.now() + predecessorTimeoutMs;
  while (hasLivingSupervisor(record)) {
    if (performance.now() > deadline) {
      throw new ConfigError([
        `${app} is supervised by process ${record.supervisorPid} already; stop that one first`,
      ]);
    }
    onDetail(`waiting for the supervisor before this one (pid ${record.supervisorPid}) to end`);
    await delay(pollMs, undefined, { signal: stop });
  }
  if (!isGroupLeftOver(record)) return null;
  onDetail(`killing what an earlier supervisor left (process group ${record.pgid})`);
  const survivors = await killGroup(record.pgid);
  if (survivors.length > 0) {
    throw new Error(`processes ${survivors.join(', ')} of an earlier model server cannot be killed`);
  }
  return record.pgid;
}
