import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import { type Role, roles } from '@er-gateway/shared/config/schema';
import type { LastError } from '@er-gateway/shared/gateway-status';
import { type ModelProcessStatus, readModelProcess } from '@er-gateway/shared/model-process-status';
import type {
  LaneStatus,
  ModelStatus,
  ModelsStatus,
  SchedulerInspection,
} from '@er-gateway/shared/scheduler-protocol';
import { isAlive } from './control-sockets.ts';
import { expectedProcesses, supervisorsOf } from './expected-processes.ts';
import type { FeedbackReport } from './feedback-quality.ts';
import type { GpuSample } from './gpu-sample.ts';
import type { KeyUsage } from './key-usage.ts';
import type { Observation, ObservedProcess } from './observer.ts';
import { schedulerOf } from './scheduler-inspection.ts';
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
  /** Longest event-loop delay of the last minute, in seconds. */
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
  /** What waits for each model and the batches made of it; null when the scheduler does not answer. */
  lanes: Record<Role, LaneStatus> | null;
  /** What the scheduler keeps; null when it does not answer. */
  cache: (SchedulerInspection['cache'] & { limitBytes: number }) | null;
  /** The keys' use of the models, the busiest first. */
  keys: KeyUsage[];
  /** The newest error of each kind, newest first. */
  errors: LastError[];
}

/** What the status is made of. */
export interface StatusParts {
  config: EffectiveConfig;
  observation: Observation;
  traffic: TrafficWindow;
  feedback: FeedbackReport;
  system: SystemSample | null;
  gpus: GpuSample[];
  errors: LastError[];
}

/** Everything that an operator asks first, in one value. */
export function toAdminStatus(parts: StatusParts): AdminStatus {
  const { config, observation, traffic, feedback, system, gpus, errors } = parts;
  const scheduler = schedulerOf(observation.processes);
  const models = modelStatuses(config, scheduler);
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
    lanes: scheduler?.lanes ?? null,
    cache: scheduler?.cache ? { ...scheduler.cache, limitBytes: config.cache.max_bytes } : null,
    keys: traffic.keys(),
    errors,
  };
}

function appStatuses({ config, observation, traffic }: StatusParts): AppStatus[] {
  const expected = expectedProcesses(config);
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

/** Both models, by the scheduler and by the supervisors' files as they are now. */
export function modelStatuses(config: EffectiveConfig, scheduler: ModelsStatus | null): AdminModelStatus[] {
  return roles.map(role => modelStatus(config, role, scheduler));
}

function modelStatus(config: EffectiveConfig, role: Role, scheduler: ModelsStatus | null): AdminModelStatus {
  const model = config.models[role];
  const seen = scheduler?.models[role] ?? null;
  const processes = supervisorsOf(model)
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
