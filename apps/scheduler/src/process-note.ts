import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import type { Role } from '@er-gateway/shared/config/schema';
import {
  begunAt,
  describeModelProcess,
  expectedReadyAt,
  type ModelProcessStatus,
  readModelProcess,
} from '@er-gateway/shared/model-process-status';
import type { ProcessNote } from './upstream/upstream-pool.ts';

/** What the supervisors of a model say, replica by replica; nothing for servers run by somebody else. */
export function processesOf(config: EffectiveConfig, role: Role): ModelProcessStatus[] {
  const { engine, replicas } = config.models[role];
  if (engine === 'external') return [];
  const apps = Array.from({ length: replicas }, (_, replica) =>
    replica === 0 ? role : `${role}-${replica}`,
  );
  return apps
    .map(app => readModelProcess(runPaths.modelStatus(config.run_dir, app)))
    .filter(status => status !== null);
}

/** Why a model cannot answer, by the process that will be the first to; null when they all say that they can. */
export function noteOf(processes: readonly ModelProcessStatus[], now: number): ProcessNote | null {
  const away = processes
    .filter(({ state }) => state !== 'ready' && state !== 'degraded')
    .map(status => ({ status, readyAt: expectedReadyAt(status, now) ?? Number.POSITIVE_INFINITY }))
    .sort((one, other) => one.readyAt - other.readyAt);
  const [first] = away;
  if (!first) return null;
  const { status, readyAt } = first;
  return {
    text: describeModelProcess(status),
    since: begunAt(status),
    expectedReadyAt: Number.isFinite(readyAt) ? readyAt : null,
  };
}

/** Whether the supervisor of the server at this URL says that it has yet to find that it works, or is stopping it. */
export function isOnTrial(processes: readonly ModelProcessStatus[], url: string): boolean {
  const own = processes.find(({ port }) => String(port) === new URL(url).port);
  return own !== undefined && !['ready', 'degraded', 'stopped', 'failed'].includes(own.state);
}
