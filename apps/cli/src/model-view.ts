import type { EffectiveConfig, Engine } from '@er-gateway/shared/config/effective-config';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import { type Role, roles } from '@er-gateway/shared/config/schema';
import {
  begunAt,
  describeTimes,
  expectedReadyAt,
  type ModelProcessStatus,
  readModelProcess,
} from '@er-gateway/shared/model-process-status';
import type { ModelsStatus } from '@er-gateway/shared/scheduler-protocol';
import { processStatus } from './control-sockets.ts';

/** One model server (or, for the external engine, one URL), as its supervisor and the scheduler see it. */
export interface ModelView {
  role: Role;
  /** PM2 app and replica. */
  app: string;
  /** 0 for the first server of this model. */
  replica: number;
  servedName: string;
  engine: Engine;
  engineReason: string;
  /** The model that really answers; null until the scheduler has seen it. */
  modelName: string | null;
  engineLabel: string | null;
  /** Whether requests can be answered now. */
  isReady: boolean;
  /** The supervisor's word; `external` servers are ready or unreachable. */
  state: string;
  /** Since when, Unix time in milliseconds; null when nobody knows. */
  since: number | null;
  /** What it does, with how long it has taken so far and will take. */
  detail: string;
  lastError: string | null;
  failedStarts: number;
  url: string;
  pid: number | null;
  gpu: number | null;
  /** Share of the GPU's memory that it asks for, 0 to 1; null on the CPU. */
  gpuMemoryShare: number | null;
  logFile: string | null;
  /** Calls under way on it, inputs answered a second and median milliseconds of a call in the last minute; null unseen. */
  inFlight: number | null;
  inputsPerSecond: number | null;
  p50Ms: number | null;
}

/** Every model server of the system. */
export async function modelViews(config: EffectiveConfig): Promise<ModelView[]> {
  const seen = await processStatus<ModelsStatus>(config.run_dir, 'scheduler');
  return roles.flatMap(role =>
    config.models[role].upstreams.map((url, replica) => viewOf(config, seen, role, url, replica)),
  );
}

function viewOf(
  config: EffectiveConfig,
  seen: ModelsStatus | null,
  role: Role,
  url: string,
  replica: number,
): ModelView {
  const model = config.models[role];
  const app = replica === 0 ? role : `${role}-${replica}`;
  const byScheduler = seen?.models[role];
  const upstream = byScheduler?.upstreams[replica];
  const isReady = upstream?.isReady ?? false;
  const view = {
    role,
    app,
    replica,
    servedName: model.served_name,
    engine: model.engine,
    engineReason: model.engineReason,
    modelName: byScheduler?.modelName ?? null,
    engineLabel: byScheduler?.engineLabel ?? null,
    isReady,
    url,
    inFlight: upstream?.inFlight ?? null,
    inputsPerSecond: upstream?.inputsPerSecond ?? null,
    p50Ms: upstream?.p50Ms ?? null,
  };
  const nothing = {
    since: null,
    lastError: null,
    failedStarts: 0,
    pid: null,
    gpu: null,
    gpuMemoryShare: null,
    logFile: null,
  };
  if (model.engine === 'external') {
    const detail = upstream?.reason ?? (upstream ? '' : 'the scheduler does not run');
    return { ...view, ...nothing, state: isReady ? 'ready' : 'unreachable', detail };
  }
  const status = readModelProcess(runPaths.modelStatus(config.run_dir, app));
  if (!status) return { ...view, ...nothing, state: 'stopped', detail: '', isReady: false };
  const { state, since, lastError, failedStarts, pid, gpu, gpuMemoryShare, logFile } = status;
  const isUp = state === 'ready' || state === 'degraded';
  return {
    ...view,
    ...{ state, since, lastError, failedStarts, pid, gpu, gpuMemoryShare, logFile },
    detail: detailOf(status),
    isReady: isReady && isUp,
  };
}

function detailOf(status: ModelProcessStatus): string {
  const now = Date.now();
  const readyAt = expectedReadyAt(status, now);
  return readyAt === null
    ? status.detail
    : `${status.detail} (${describeTimes(begunAt(status), readyAt, now)})`;
}
