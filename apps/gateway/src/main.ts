import { auditFolder } from '@er-gateway/shared/audit/audit-names';
import { AuditWriter } from '@er-gateway/shared/audit/audit-writer';
import { claimWorkerLane } from '@er-gateway/shared/audit/claim-lane';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import { serveControl } from '@er-gateway/shared/control-server';
import type { GatewayStatus } from '@er-gateway/shared/gateway-status';
import { ensureKeyFile } from '@er-gateway/shared/keys/ensure-key-file';
import { KeyDirectory, keySource } from '@er-gateway/shared/keys/key-directory';
import { KeyFile } from '@er-gateway/shared/keys/key-file';
import { runProcess } from '@er-gateway/shared/lifecycle';
import { createGatewayMetrics } from '@er-gateway/shared/metrics/gateway-metrics';
import { createProcessMetrics } from '@er-gateway/shared/metrics/process-metrics';
import { createStore } from '@er-gateway/shared/state/create-store';
import { ResilientStore } from '@er-gateway/shared/state/resilient-store';
import { register } from 'prom-client';
import { createApp } from './app.ts';
import { Listener } from './listener.ts';
import { createCallerView } from './request/caller-address.ts';
import { RateGate } from './request/charge-rate-limit.ts';
import { FailureGuard } from './request/failure-guard.ts';
import { Recorder } from './request/recorder.ts';
import { SchedulerClient } from './scheduler-client.ts';

void runProcess('gateway', async ({ config, logger, instance, onStop }) => {
  const { file } = config.keys;
  const made = ensureKeyFile(file);
  if (made.created) logger.info(`made an API key, shown here once: ${made.key}`, { file });
  const keyFile = new KeyFile(file, logger);
  keyFile.watch();
  onStop(() => keyFile.close());
  const store = new ResilientStore({
    store: await createStore(config, logger),
    workers: config.gateway.workers,
    logger,
  });
  onStop(() => store.close());
  const keys = new KeyDirectory({ keyFile, store, source: keySource(file), logger });
  keys.start();
  onStop(() => keys.close());
  const scheduler = new SchedulerClient(
    runPaths.scheduler(config.run_dir),
    config.gateway.timeout_seconds * 1000,
  );
  onStop(() => scheduler.close());
  const folder = auditFolder(config.logs.dir);
  const { lane, release } = await claimWorkerLane(folder, instance);
  onStop(release);
  const metrics = createGatewayMetrics(register, () => listener.connections);
  const audit = new AuditWriter({
    folder,
    lane,
    // All files that are written to take up half of the trail at most: only the others can be deleted.
    maxFileBytes: Math.min(
      config.audit.max_file_bytes,
      Math.floor(config.audit.max_total_bytes / 2 / config.gateway.workers),
    ),
    logger,
    onFailing: isFailing => metrics.auditFailing.set(isFailing ? 1 : 0),
    onLost: lines => metrics.auditLost.inc(lines),
  });
  onStop(() => audit.close());

  const { url, sample_ratio: sampleRatio } = config.tracing;
  const tracer =
    url === null
      ? null // its code is a bundle of its own, which most systems never load
      : (await import('./tracing/otel.ts')).createTracer({ url, sampleRatio, instance, logger });
  onStop(() => tracer?.close());
  const recorder = new Recorder(metrics, audit, tracer);
  createProcessMetrics(register, 'gateway');
  const rateGate = new RateGate(store, config.limits);
  const guard = new FailureGuard(store);
  const callers = createCallerView(config.gateway.trusted_proxies);
  const dependencies = { config, keys, store, rateGate, guard, scheduler, recorder, audit, callers, logger };
  const app = createApp(dependencies, () => listener.draining);
  const listener = new Listener(app, config.gateway, logger);
  // Before the listener, so that it ends after it: what is counted while draining is seen.
  const status = (): GatewayStatus => ({
    inFlight: recorder.inFlight,
    isDraining: listener.isDraining,
    auditLinesLost: audit.lost,
    lastErrors: recorder.lastErrors.list(),
  });
  onStop(await serveControl({ runDir: config.run_dir, app: 'gateway', status }));
  await listener.listen();
  onStop(() => listener.drain());

  process.send?.('ready');
});
