import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type ModelProcessStatus, writeModelProcessStatus } from '@er-gateway/shared/model-process-status';
import { awaitEarlierReplica } from '../../../supervisor/src/await-earlier-replica.ts';
import { modelProcessStatus } from '../../kit/model-process-status.ts';

const write = (file: string, change: Partial<ModelProcessStatus>) =>
  writeModelProcessStatus(file, modelProcessStatus(change));

test('a replica waits while the one before it loads, and goes on when that is ready', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'er-replica-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const status = join(folder, 'status.json');
  write(status, { state: 'loading' });
  const details: string[] = [];
  let isOver = false;
  const waiting = awaitEarlierReplica({
    status,
    app: 'embedding',
    onDetail: detail => {
      details.push(detail);
      assert.equal(isOver, false);
      write(status, { state: 'ready' });
    },
    stop: new AbortController().signal,
  }).then(() => {
    isOver = true;
  });
  await waiting;
  assert.deepEqual(details, ['waiting for embedding to be ready']);
});

const cases: [what: string, status: Partial<ModelProcessStatus>][] = [
  ['ready', { state: 'ready' }],
  ['given up', { state: 'failed' }],
  ['waiting after a failure', { state: 'starting', nextStartAt: Date.now() + 60_000 }],
  ['without a supervisor', { state: 'loading', supervisorPid: 2 ** 22 }],
];
for (const [what, earlier] of cases) {
  test(`one that is ${what} holds nobody up`, async t => {
    const folder = mkdtempSync(join(tmpdir(), 'er-replica-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const status = join(folder, 'status.json');
    write(status, earlier);
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
