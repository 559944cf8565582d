import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import type { Logger } from '@er-gateway/shared/logger';
import { Registry } from 'prom-client';
import { type AdminStatus, modelStatuses, toAdminStatus } from './admin-status.ts';
import { askControl, listControlSockets } from './control-sockets.ts';
import type { ErrorLog } from './error-log.ts';
import type { FeedbackHistory, FeedbackQuality } from './feedback-quality.ts';
import type { GpuSample } from './gpu-sample.ts';
import type { History } from './history.ts';
import type { Observation } from './observer.ts';
import type { PageFiles } from './page-files.ts';
import type { PageAnswer, Pages } from './routes.ts';
import type { Sampler } from './sampler.ts';
import { parseScheduler } from './scheduler-inspection.ts';
import { StatusStream } from './status-stream.ts';
import type { SystemSample } from './system-sample.ts';
import type { TrafficWindow } from './traffic.ts';

/** The scheduler has this long to tell of its models, in milliseconds. */
const answerTimeoutMs = 1000;

export interface PagesOptions {
  config: EffectiveConfig;
  observe: () => Promise<Observation>;
  traffic: TrafficWindow;
  feedback: FeedbackHistory;
  history: History;
  errors: ErrorLog;
  files: PageFiles;
  sampleSystem: Sampler<SystemSample>;
  sampleGpus: Sampler<GpuSample[]>;
  logger: Logger;
}

/** The monitor's pages, and the stream that must be closed at the end. */
export function createPages(options: PagesOptions): { pages: Pages; stream: StatusStream } {
  const { config, observe, traffic, feedback, history, errors, files, sampleSystem, sampleGpus, logger } =
    options;

  const readStatus = async () => {
    const [observation, system, gpus] = await Promise.all([observe(), sampleSystem(), sampleGpus()]);
    return toAdminStatus({
      config,
      observation,
      traffic,
      feedback: feedback.report(),
      system,
      gpus: gpus ?? [],
      errors: errors.list(),
    });
  };
  const readModels = async () => modelStatuses(config, await askScheduler(config.run_dir));
  const stream = new StatusStream({
    readStatus: async () => toPageStatus(await readStatus()),
    readModels,
    history: () => history,
    logger,
  });

  const answer = (value: PageAnswer) => () => value;
  const pages: Pages = {
    '/metrics': async () => ({
      type: Registry.PROMETHEUS_CONTENT_TYPE,
      body: (await observe()).exposition,
    }),
    '/admin/status': async () => json(await readStatus()),
    '/dashboard': answer(files.page),
    // The page's addresses are relative.
    '/dashboard/': answer({
      status: 308,
      type: 'text/plain',
      body: '',
      headers: { location: '../dashboard' },
    }),
    '/dashboard/login': answer(files.login),
    // The gateway answers for itself; on the loopback port there is nobody to log in.
    '/dashboard/session': answer(json({ name: null, expires_at: null })),
    '/dashboard/assets/page.js': answer(files.script),
    '/dashboard/assets/page.css': answer(files.style),
    '/dashboard/events': async (response, headers) => {
      await stream.open(response, headers);
      return null;
    },
  };
  return { pages, stream };
}

/** Without what the page shows nothing of, and what grows with workers and keys: it is sent every other second. */
const toPageStatus = (status: AdminStatus): AdminStatus => ({
  ...status,
  apps: status.apps.map(app => ({
    ...app,
    processes: app.processes.map(process => ({ ...process, status: null })),
  })),
  feedback: {
    lastHour: ofAllKeys(status.feedback.lastHour),
    lastDay: ofAllKeys(status.feedback.lastDay),
    total: ofAllKeys(status.feedback.total),
  },
});
const ofAllKeys = (rows: readonly FeedbackQuality[]) => rows.filter(({ key }) => key === null);

const json = (value: unknown): PageAnswer => ({ type: 'application/json', body: JSON.stringify(value) });

async function askScheduler(runDir: string) {
  const sockets = await listControlSockets(runDir);
  const newest = sockets.filter(({ app }) => app === 'scheduler').sort((a, b) => b.since - a.since)[0];
  if (!newest) return null;
  const said = await askControl(newest, '/status', AbortSignal.timeout(answerTimeoutMs));
  return said.kind === 'answer' ? parseScheduler(said.value) : null;
}
