import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type ModelProcessState, writeModelProcessStatus } from '@er-gateway/shared/model-process-status';
import { awaitEarlierReplica } from '../../../supervisor/src/await-earlier-replica.ts';

const write = (file: string, state: ModelProcessState) =>
  writeModelProcessStatus(file, {
    app: 'embedding',
    role: 'embedding',
    engine: 'vllm',
    state,
    since: 0,
    detail: '',
    lastError: null,
    supervisorPid: 1,
    pid: null,
    port: 1,
    gpu: 0,
    failedStarts: 0,
    logFile: '',
  });

test('a replica waits while the one before it loads, and goes on when that is ready', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'er-replica-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const status = join(folder, 'status.json');
  write(status, 'loading');
  const details: string[] = [];
  let isOver = false;
  const waiting = awaitEarlierReplica({
    status,
    app: 'embedding',
    onDetail: detail => {
      details.push(detail);
      assert.equal(isOver, false);
      write(status, 'ready');
    },
    stop: new AbortController().signal,
  }).then(() => {
    isOver = true;
  });
  await waiting;
  assert.deepEqual(details, ['waiting for embedding to be ready']);
});

for (const state of ['ready', 'failed', 'backing-off'] as const) {
  test(`one that is ${state} holds nobody up`, async t => {
    const folder = mkdtempSync(join(tmpdir(), 'er-replica-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const status = join(folder, 'status.json');
    write(status, state);
    const onDetail = () => assert.fail('it waited');
    await awaitEarlierReplica({ status, app: 'embedding', onDetail, stop: new AbortController().signal });
  });
}

test('a stop ends the wait', async () => {
  const stop = AbortSignal.abort(new Error('stopped'));
  await assert.rejects(
    awaitEarlierReplica({ status: '/nowhere', app: 'embedding', onDetail: () => {}, stop }),
  );
});
