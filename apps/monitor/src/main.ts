import type { Server } from 'node:http';
import { AuditKeeper } from '@er-gateway/shared/audit/audit-keeper';
import { auditFolder } from '@er-gateway/shared/audit/audit-names';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import { serveControl } from '@er-gateway/shared/control-server';
import { runProcess } from '@er-gateway/shared/lifecycle';
import { createProcessMetrics } from '@er-gateway/shared/metrics/process-metrics';
import { Registry } from 'prom-client';
import { ErrorLog } from './error-log.ts';
import { createExpectedMetrics, expectedProcesses } from './expected-processes.ts';
import { createFeedbackHistory } from './feedback-quality.ts';
import { readGpus } from './gpu-sample.ts';
import { History, toHistoryPoint } from './history.ts';
import { createHostMetrics } from './host-metrics.ts';
import { listenOnLoopback, listenOnSocket } from './listen.ts';
import { refuseForeignPages } from './loopback-guard.ts';
import { createObserver } from './observer.ts';
import { loadPageFiles } from './page-files.ts';
import { createPages } from './pages.ts';
import { createRoutes } from './routes.ts';
import { createSampler } from './sampler.ts';
import { readSystem } from './system-sample.ts';
import { createTrafficWindow } from './traffic.ts';

/**
 * Processes are looked at this often even when nobody asks: what one counts after the last look is lost when it is killed. Rarely: a look
 * makes each of 64 idle workers write its metrics as JSON, and their memory grow.
 */
const observeEveryMs = 30_000;

/** Age up to which a sample of the host serves, in milliseconds. */
const sampleMaxAgeMs = 1500;
/** The monitor scrapes itself like the others, and must have answered before it gives itself up. */
const metricsWaitMs = 500;

void runProcess('monitor', async ({ config, logger, onStop }) => {
  const registry = new Registry();
  createProcessMetrics(registry, 'monitor');
  const sampleSystem = createSampler(readSystem, sampleMaxAgeMs);
  const sampleGpus = createSampler(() => readGpus(), sampleMaxAgeMs);
  createHostMetrics(registry, {
    system: () => sampleSystem(metricsWaitMs),
    gpus: () => sampleGpus(metricsWaitMs),
  });
  createExpectedMetrics(registry, expectedProcesses(config));
  const startedAt = Date.now();
  onStop(
    await serveControl({ runDir: config.run_dir, app: 'monitor', status: () => ({ startedAt }), registry }),
  );

  const traffic = createTrafficWindow();
  const history = new History();
  const errors = new ErrorLog();
  const feedback = createFeedbackHistory();
  const observe = createObserver({
    runDir: config.run_dir,
    logger,
    onObservation: observation => {
      traffic.add(observation);
      feedback.add(observation);
      history.add(toHistoryPoint(observation, traffic.recent()));
      errors.add(observation.processes);
    },
  });
  const { pages, stream } = createPages({
    config,
    observe,
    traffic,
    feedback,
    history,
    errors,
    files: loadPageFiles(config.root),
    sampleSystem,
    sampleGpus,
    logger,
  });
  const look = () =>
    observe().catch(error => logger.error('the processes could not be looked at', { error }));
  const timer = setInterval(look, observeEveryMs);
  onStop(() => clearInterval(timer));

  const keeper = new AuditKeeper({
    folder: auditFolder(config.logs.dir),
    retentionDays: config.audit.retention_days,
    maxTotalBytes: config.audit.max_total_bytes,
    logger,
  });
  onStop(() => keeper.close());
  keeper.start();

  const behindGateway = createRoutes({ pages, logger, refuse: () => null });
  const onLoopback = createRoutes({
    pages,
    logger,
    refuse: headers => refuseForeignPages(headers, config.monitor.port),
  });
  onStop(closer(await listenOnSocket(runPaths.monitor(config.run_dir), behindGateway)));
  onStop(closer(await listenOnLoopback(config.monitor.port, onLoopback, logger)));
  onStop(() => stream.close());
  // What others count until the next monitor is lost if they are killed before it comes.
  onStop(look);
  await look();
});

function closer(server: Server): () => void {
  return () => {
    server.close();
    server.closeAllConnections();
  };
}
