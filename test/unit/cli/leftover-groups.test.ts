import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { resolveConfig } from '@er-gateway/shared/config/effective-config';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import { killGroup, recordGroup } from '@er-gateway/shared/process-group';
import { groupMembers } from '@er-gateway/shared/process-table';
import { endLeftoverGroups } from '../../../apps/cli/src/leftover-groups.ts';
import { takenPorts } from '../../../apps/cli/src/preflight.ts';
import { freePort } from '../../kit/free-port.ts';

const listens =
  "require('node:net').createServer().listen(Number(process.argv[1]), '127.0.0.1', () => console.log('up'))";

test('a model server of ours without its supervisor is no reason not to start, and npm stop ends it', async t => {
  const runDir = mkdtempSync(join(tmpdir(), 'er-left-'));
  const port = await freePort();
  const server = spawn(process.execPath, ['-e', listens, String(port)], {
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const pgid = server.pid ?? 0;
  t.after(async () => {
    await killGroup(pgid);
    rmSync(runDir, { recursive: true });
  });
  await once(server.stdout, 'data');
  const config = resolveConfig('/srv/er', {
    ER_RUN_DIR: runDir,
    ER_LOGS_DIR: runDir,
    ER_MODELS_EMBEDDING_PORT: String(port),
  });
  const taken = () => takenPorts(config, new Set(['embedding']));
  assert.match(
    (await taken())[0] ?? '',
    new RegExp(`^models.embedding.port: port ${port} is taken by pid ${pgid} `),
  );

  const file = runPaths.modelGroup(runDir, 'embedding');
  recordGroup(file, pgid);
  assert.deepEqual(await taken(), []);

  const record = JSON.parse(readFileSync(file, 'utf8')) as object;
  const supervisor = { supervisorPid: process.ppid, supervisorStartTicks: 1 };
  writeFileSync(file, JSON.stringify({ ...record, ...supervisor }));
  assert.match(
    (await endLeftoverGroups(config)).join(),
    new RegExp(`^Ended a model server of embedding .*${pgid}`),
  );
  assert.deepEqual(groupMembers(pgid), []);
  assert.deepEqual(await endLeftoverGroups(config), []);
});
