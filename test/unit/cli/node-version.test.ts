import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isAtLeast, nodeOfProcess, runningPm2Daemon } from '../../../apps/cli/node-version.cjs';

test('versions compare by number, not by letter', () => {
  assert.equal(isAtLeast('22.19.0', '22.19.0'), true);
  assert.equal(isAtLeast('v24.2.0', '22.19.0'), true);
  assert.equal(isAtLeast('22.9.0', '22.19.0'), false);
  assert.equal(isAtLeast('20.20.2', '22.19.0'), false);
});

test('a pid file that names another program is no PM2 daemon', () => {
  const home = mkdtempSync(join(tmpdir(), 'er-pm2-home-'));
  try {
    assert.equal(runningPm2Daemon({ PM2_HOME: home }), null);
    writeFileSync(join(home, 'pm2.pid'), String(process.pid));
    assert.equal(runningPm2Daemon({ PM2_HOME: home }), null);
  } finally {
    rmSync(home, { recursive: true });
  }
});

test('a daemon without its title, as in pm2-runtime, is known by its socket', {
  skip: process.platform !== 'linux',
}, async t => {
  const home = mkdtempSync(join(tmpdir(), 'er-pm2-home-'));
  t.after(() => rmSync(home, { recursive: true }));
  writeFileSync(join(home, 'pm2.pid'), String(process.pid));
  const daemon = createServer().listen(join(home, 'rpc.sock'));
  await once(daemon, 'listening');
  assert.equal(runningPm2Daemon({ PM2_HOME: home }), process.pid);
  daemon.close();
  await once(daemon, 'close');
  writeFileSync(join(home, 'rpc.sock'), 'left from before a reboot');
  assert.equal(runningPm2Daemon({ PM2_HOME: home }), null);
});

test("a process's Node is read from its own program", { skip: process.platform !== 'linux' }, () => {
  assert.equal(nodeOfProcess(process.pid), process.versions.node);
  assert.equal(nodeOfProcess(0), null);
});
