import type { EffectiveConfig, EffectiveModel } from '@er-gateway/shared/config/effective-config';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import { type Role, roles } from '@er-gateway/shared/config/schema';
import { type ModelProcessStatus, readModelProcess } from '@er-gateway/shared/model-process-status';
import type { ModelStatus, ModelsStatus } from '@er-gateway/shared/scheduler-protocol';
import { isAlive } from './control-sockets.ts';
import type { FeedbackReport } from './feedback-quality.ts';
import type { GpuSample } from './gpu-sample.ts';
import type { Observation, ObservedProcess } from './observer.ts';
import type { SystemSample } from './system-sample.ts';
import type { Traffic, TrafficWindow } from './traffic.ts';

/** One PM2 app and its processes. */
export interface AppStatus {
  app: string;
  /** Processes that the configuration asks for. */
  expected: number;
  answering: number;
  residentMemoryBytes: number | null;
  /** CPU of the last minute, in cores; null until there are two scrapes. */
  cpuCores: number | null;
  /** Longest event-loop delay since the last scrape, in seconds. */
  eventLoopLagSeconds: number | null;
  processes: Omit<ObservedProcess, 'app'>[];
}

/** One model: what the scheduler knows of it, and its supervised processes. */
export interface AdminModelStatus {
  role: Role;
  servedName: string;
  engine: string;
  engineReason: string;
  isReady: boolean;
  /** Why it is not ready; null when it is. */
  reason: string | null;
  /** As the scheduler sees it; null when the scheduler does not answer. */
  scheduler: ModelStatus | null;
  /** What its supervisors say, one a replica; empty for the external engine. */
  processes: (ModelProcessStatus & { isSupervised: boolean })[];
}

/** The body of `GET /admin/status`. */
export interface AdminStatus {
  /** Unix time in milliseconds. */
  at: number;
  isReady: boolean;
  apps: AppStatus[];
  models: AdminModelStatus[];
  concurrency: { inFlight: number | null; limit: number };
  traffic: Traffic;
  feedback: FeedbackReport;
  system: SystemSample | null;
  gpus: GpuSample[];
}

/** What the status is made of. */
export interface StatusParts {
  config: EffectiveConfig;
  observation: Observation;
  traffic: TrafficWindow;
  feedback: FeedbackReport;
  system: SystemSample | null;
  gpus: GpuSample[];
}

/** Everything that an operator asks first, in one value. */
export function toAdminStatus(parts: StatusParts): AdminStatus {
  const { config, observation, traffic, feedback, system, gpus } = parts;
  const scheduler = schedulerStatusOf(observation);
  const models = roles.map(role => modelStatus(config, role, scheduler));
  return {
    at: observation.at,
    isReady: models.every(({ isReady }) => isReady),
    apps: appStatuses(parts),
    models,
    concurrency: { inFlight: scheduler?.inFlight ?? null, limit: config.limits.concurrency },
    traffic: traffic.summary(),
    feedback,
    system,
    gpus,
  };
}

function appStatuses({ config, observation, traffic }: StatusParts): AppStatus[] {
  const expected = expectedApps(config);
  const apps = new Set([...expected.keys(), ...observation.processes.map(({ app }) => app)]);
  const gauge = (name: string, app: string) =>
    observation.metrics.find(metric => metric.name === name)?.values.find(({ labels }) => labels.app === app)
      ?.value ?? null;
  return [...apps].map(app => {
    const own = observation.processes.filter(process => process.app === app);
    return {
      app,
      expected: expected.get(app) ?? 0,
      answering: own.filter(({ answers }) => answers).length,
      residentMemoryBytes: gauge('er_process_resident_memory_bytes', app),
      cpuCores: traffic.cpuCores(app),
      eventLoopLagSeconds: gauge('er_process_event_loop_lag_seconds', app),
      processes: own.map(({ pid, since, answers, status }) => ({ pid, since, answers, status })),
    };
  });
}

/** How many processes each app has when all is well. */
function expectedApps(config: EffectiveConfig): Map<string, number> {
  const counts = new Map([
    ['gateway', config.gateway.workers],
    ['scheduler', 1],
  ]);
  if (config.redis.url === null) counts.set('state', 1);
  counts.set('monitor', 1);
  for (const role of roles) for (const app of modelApps(config.models[role])) counts.set(app, 1);
  return counts;
}

/** PM2 apps of a model: `embedding`, `embedding-1` for the second replica. */
function modelApps({ engine, role, replicas }: EffectiveModel): string[] {
  if (engine === 'external') return [];
  return Array.from({ length: replicas }, (_, replica) => (replica === 0 ? role : `${role}-${replica}`));
}

function modelStatus(config: EffectiveConfig, role: Role, scheduler: ModelsStatus | null): AdminModelStatus {
  const model = config.models[role];
  const seen = scheduler?.models[role] ?? null;
  const processes = modelApps(model)
    .map(app => readModelProcess(runPaths.modelStatus(config.run_dir, app)))
    .filter(status => status !== null)
    // The file of a supervisor that was killed still says what it said last.
    .map(status => ({ ...status, isSupervised: isAlive(status.supervisorPid) }));
  return {
    role,
    servedName: model.served_name,
    engine: model.engine,
    engineReason: model.engineReason,
    isReady: seen?.isReady ?? false,
    reason: seen ? seen.reason : 'the scheduler does not answer',
    scheduler: seen,
    processes,
  };
}

/** The scheduler's own account; null when it does not answer or says something else. */
function schedulerStatusOf({ processes }: Observation): ModelsStatus | null {
  const found = processes.find(({ app, answers }) => app === 'scheduler' && answers);
  const status = found?.status as Partial<ModelsStatus> | null | undefined;
  return status?.models?.embedding && status.models.reranker ? (status as ModelsStatus) : null;
}
