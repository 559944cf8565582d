import type { EffectiveConfig, Engine } from '@er-gateway/shared/config/effective-config';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import { type Role, roles } from '@er-gateway/shared/config/schema';
import { readModelProcessStatus } from '@er-gateway/shared/model-process-status';
import type { ModelsStatus } from '@er-gateway/shared/scheduler-protocol';
import { isAlive, processStatus } from './control-sockets.ts';

/** One model server (or, for the external engine, one URL), as its supervisor and the scheduler see it. */
export interface ModelView {
  role: Role;
  /** PM2 app and replica. */
  app: string;
  servedName: string;
  engine: Engine;
  engineReason: string;
  /** The model that really answers; null until the scheduler has seen it. */
  modelName: string | null;
  engineLabel: string | null;
  /** Whether requests can be answered now. */
  isReady: boolean;
  /** `stopped` when no supervisor runs, its own word otherwise; `external` servers are ready or unreachable. */
  state: string;
  detail: string;
  lastError: string | null;
  failedStarts: number;
  url: string;
  pid: number | null;
  gpu: number | null;
  logFile: string | null;
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
    servedName: model.served_name,
    engine: model.engine,
    engineReason: model.engineReason,
    modelName: byScheduler?.modelName ?? null,
    engineLabel: byScheduler?.engineLabel ?? null,
    isReady,
    url,
  };
  const nothing = { lastError: null, failedStarts: 0, pid: null, gpu: null, logFile: null };
  if (model.engine === 'external') {
    const detail = upstream?.reason ?? (upstream ? '' : 'the scheduler does not run');
    return { ...view, ...nothing, state: isReady ? 'ready' : 'unreachable', detail };
  }
  const status = readModelProcessStatus(runPaths.modelStatus(config.run_dir, app));
  if (!status || !isAlive(status.supervisorPid))
    return { ...view, ...nothing, state: 'stopped', detail: '', isReady: false };
  const { state, detail, lastError, failedStarts, pid, gpu, logFile } = status;
  return { ...view, state, detail, lastError, failedStarts, pid, gpu, logFile };
}
