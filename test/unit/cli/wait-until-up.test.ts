import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { resolveConfig } from '@er-gateway/shared/config/effective-config';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import { writeModelProcessStatus } from '@er-gateway/shared/model-process-status';
import { waitUntilUp } from '../../../apps/cli/src/wait-until-up.ts';
import { modelProcessStatus } from '../../kit/model-process-status.ts';

test('a model that cannot start fails the wait for both models, and not the wait for the gateway', async t => {
  const runDir = mkdtempSync(join(tmpdir(), 'er-wait-'));
  const gateway = createServer((_, response) => response.writeHead(503).end('{}')).listen(0, '127.0.0.1');
  t.after(() => {
    gateway.close();
    rmSync(runDir, { recursive: true });
  });
  await new Promise(resolve => gateway.once('listening', resolve));
  // A worker that is up shows by its control socket.
  mkdirSync(runPaths.controlDir(runDir));
  writeFileSync(runPaths.control(runDir, 'gateway'), '');
  const status = modelProcessStatus({ app: 'reranker', state: 'failed', lastError: 'no memory' });
  writeModelProcessStatus(runPaths.modelStatus(runDir, 'reranker'), status);
  const config = resolveConfig('/srv/er', {
    ER_RUN_DIR: runDir,
    ER_GATEWAY_PORT: String((gateway.address() as AddressInfo).port),
    ER_GATEWAY_HOST: '127.0.0.1',
    ER_GATEWAY_WORKERS: '1',
  });
  const wait = (detach: boolean) =>
    waitUntilUp({
      config,
      pm2: { list: async () => [], run: async () => ({ code: 0, output: '' }), show: async () => 0 },
      progress: { show: () => {}, end: () => {} },
      started: Promise.resolve(null),
      isTerminal: false,
      detach,
    });
  assert.equal(await wait(true), null);
  assert.equal((await wait(false))?.reason, 'the model server reranker does not start: no memory');
});
