import { join } from 'node:path';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import { serveControl } from '@er-gateway/shared/control-server';
import { FrameServer } from '@er-gateway/shared/frames/frame-server';
import { runProcess } from '@er-gateway/shared/lifecycle';
import { createProcessMetrics } from '@er-gateway/shared/metrics/process-metrics';
import { createSchedulerGauges, createSchedulerMetrics } from '@er-gateway/shared/metrics/scheduler-metrics';
import type { DrainParams, FeedbackParams, RunParams } from '@er-gateway/shared/scheduler-protocol';
import { register } from 'prom-client';
import { isOnTrial, noteOf, processesOf } from './process-note.ts';
import { Scheduler } from './scheduler.ts';

void runProcess('scheduler', async ({ config, logger, onStop }) => {
  createProcessMetrics(register, 'scheduler');
  let announce = () => {};
  const scheduler = await Scheduler.open({
    config,
    metrics: createSchedulerMetrics(register),
    logger,
    describeProcess: role => noteOf(processesOf(config, role), Date.now()),
    isOnTrial: (role, url) => isOnTrial(processesOf(config, role), url),
    onModelsChange: () => announce(),
  });
  onStop(() => scheduler.close());
  createSchedulerGauges(register, () => scheduler.facts());
  // Before the server, so that it ends after it: jobs that end with their callers' connections are counted.
  onStop(await serveControl({ runDir: config.run_dir, app: 'scheduler', status: () => scheduler.inspect() }));

  const server = new FrameServer({
    path: runPaths.scheduler(config.run_dir),
    methods: {
      run: (params: RunParams, { signal, isRepeated }) => scheduler.run(params, signal, isRepeated),
      drain: (params: DrainParams, { signal }) => scheduler.drain(params, signal),
      feedback: (params: FeedbackParams) => scheduler.takeFeedback(params),
    },
    greeting: () => [{ topic: 'models', value: scheduler.status() }],
    onUnexpectedError: (error, method) => logger.error(`unexpected error in ${method}`, { error }),
  });
  await server.listen();
  let lastSeen = '';
  announce = () => {
    const status = scheduler.status();
    const seen = Object.values(status.models)
      .map(model => `${model.servedName}: ${model.isReady ? `ready (${model.engineLabel})` : model.reason}`)
      .join('; ');
    if (seen !== lastSeen) logger.info(`models: ${seen}`);
    lastSeen = seen;
    server.broadcast('models', status);
  };
  announce();
  onStop(() => server.close());
  logger.info('scheduler is up', {
    socket: join(config.run_dir, 'scheduler.sock'),
    concurrency: config.limits.concurrency,
  });
});
