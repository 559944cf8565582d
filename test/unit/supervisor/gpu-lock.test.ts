import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { bootId, readProcess } from '@er-gateway/shared/process-table';
import { lockGpu } from '../../../supervisor/src/gpu-lock.ts';

const folder = mkdtempSync(join(tmpdir(), 'er-lock-'));
test.after(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'gpu-0.lock');
const never = new AbortController().signal;
const holder = (change: object) =>
  writeFileSync(
    file,
    JSON.stringify({
      app: 'reranker',
      pid: process.ppid,
      startTicks: readProcess(process.ppid)?.startTicks,
      bootId: bootId(),
      ...change,
    }),
  );

test('one that loads on the same GPU is waited for, by name, and let go', async () => {
  holder({});
  const details: string[] = [];
  const unlock = await lockGpu({
    file,
    app: 'embedding',
    onDetail: detail => {
      details.push(detail);
      rmSync(file);
    },
    stop: never,
  });
  assert.deepEqual(details, ['waiting for reranker, which loads on the same GPU']);
  assert.ok(existsSync(file));
  unlock();
  assert.deepEqual(readdirSync(folder), []);
});

for (const [what, change] of [
  ['was killed', { pid: 2 ** 22 }],
  ['died and whose number was used again', { startTicks: 1 }],
  ['is from before a reboot', { bootId: 'another' }],
] as const) {
  test(`a holder that ${what} holds nobody up`, async () => {
    holder(change);
    const onDetail = () => assert.fail('it waited');
    const unlock = await lockGpu({ file, app: 'embedding', onDetail, stop: never });
    unlock();
    assert.deepEqual(readdirSync(folder), []);
  });
}

test('a lock that another process has by now is not taken away', async () => {
  const unlock = await lockGpu({ file, app: 'embedding', onDetail: () => {}, stop: never });
  holder({});
  unlock();
  assert.ok(existsSync(file));
});

test('a stop ends the wait', async () => {
  holder({});
  const stop = AbortSignal.timeout(50);
  await assert.rejects(lockGpu({ file, app: 'embedding', onDetail: () => {}, stop }));
  assert.deepEqual(readdirSync(folder), ['gpu-0.lock']);
});
