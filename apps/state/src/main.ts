import { runPaths } from '@er-gateway/shared/config/run-dir';
import { serveControl } from '@er-gateway/shared/control-server';
import { FrameServer } from '@er-gateway/shared/frames/frame-server';
import { managedKeysPath } from '@er-gateway/shared/keys/key-file';
import { type ProcessContext, runProcess } from '@er-gateway/shared/lifecycle';
import { createProcessMetrics } from '@er-gateway/shared/metrics/process-metrics';
import { keysChangedTopic } from '@er-gateway/shared/state/state-protocol';
import { Registry } from 'prom-client';
import { ManagedKeyFile } from './managed-key-file.ts';
import { MemoryKeys } from './memory-keys.ts';
import { createStateMethods } from './state-methods.ts';

/** Keys and rate limits of one host, when there is no Redis. */
async function startState({ config, logger, onStop }: ProcessContext): Promise<void> {
  const managed = new ManagedKeyFile(managedKeysPath(config.keys.file), logger);
  const keys = new MemoryKeys(
    managed.read(),
    kept => managed.write(kept),
    hashes => server.broadcast(keysChangedTopic, hashes),
  );
  const server = new FrameServer({
    path: runPaths.state(config.run_dir),
    methods: createStateMethods(keys),
    onUnexpectedError: (error, method) => logger.error(`${method} failed`, { error }),
  });
  await server.listen();
  onStop(() => server.close());

  const registry = new Registry();
  createProcessMetrics(registry, 'state');
  const closeControl = await serveControl({
    runDir: config.run_dir,
    app: 'state',
    registry,
    status: () => ({ app: 'state', pid: process.pid, keys: keys.keyCount, sources: keys.sourceCount }),
  });
  onStop(closeControl);
  logger.info('state: ready');
}

void runProcess('state', startState);
