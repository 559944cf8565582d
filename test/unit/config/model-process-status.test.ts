import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  describeModelProcess,
  describeTimes,
  expectedReadyAt,
  type ModelProcessStatus,
  readModelProcess,
  writeModelProcessStatus,
} from '@er-gateway/shared/model-process-status';
import { modelProcessStatus } from '../../kit/model-process-status.ts';

const now = 1_000_000;

describe('expectedReadyAt()', () => {
  const cases: [what: string, status: Partial<ModelProcessStatus>, inMs: number | null][] = [
    ['the usual time from the start of the program', { state: 'loading', startedAt: now - 5_000 }, 15_000],
    ['the same while its answers are tested', { state: 'testing', startedAt: now - 18_000 }, 2_000],
    ['a quarter more of a time that is over', { state: 'loading', startedAt: now - 40_000 }, 10_000],
    ['never less than a second', { state: 'testing', startedAt: now - 20_000 }, 1_000],
    ['the whole time before the program runs', { state: 'starting' }, 20_000],
    ['and the wait before that', { state: 'starting', nextStartAt: now + 8_000 }, 28_000],
    ['nobody knows of one that is stopped', { state: 'stopped' }, null],
    ['or given up', { state: 'failed' }, null],
    ['none for one that is ready', { state: 'ready', startedAt: now - 5_000 }, null],
  ];
  for (const [what, change, inMs] of cases) {
    it(`is ${what}`, () => {
      const readyAt = expectedReadyAt(modelProcessStatus({ usualLoadMs: 20_000, ...change }), now);
      assert.equal(readyAt === null ? null : readyAt - now, inMs);
    });
  }
});

describe('describeModelProcess() and describeTimes()', () => {
  it('say what is done, since when and for how long, and why it was needed', () => {
    const status = modelProcessStatus({ detail: 'loading weights 1/2', lastError: 'it broke' });
    assert.equal(describeModelProcess(status), 'loading: loading weights 1/2; last error: it broke');
    assert.equal(describeTimes(now - 14_000, now + 20_400, now), '14 s, about 20 s to go');
    assert.equal(describeTimes(now - 14_000, null, now), '14 s');
  });
});

describe('readModelProcess()', () => {
  const read = (change: Partial<ModelProcessStatus>) => {
    const folder = mkdtempSync(join(tmpdir(), 'er-status-'));
    const file = join(folder, 'embedding.status.json');
    writeModelProcessStatus(file, modelProcessStatus(change));
    const status = readModelProcess(file);
    rmSync(folder, { recursive: true });
    return status;
  };
  const dead = 2 ** 22;

  it('believes a supervisor that lives', () => {
    assert.equal(read({ state: 'ready', pid: 7 })?.pid, 7);
  });

  it('calls a model stopped whose supervisor is gone, and keeps why', () => {
    const status = read({ state: 'ready', pid: 7, supervisorPid: dead, lastError: 'it broke' });
    assert.deepEqual([status?.state, status?.pid, status?.lastError], ['stopped', null, 'it broke']);
  });

  it('keeps the word of one that gave up', () => {
    assert.equal(read({ state: 'failed', supervisorPid: dead })?.state, 'failed');
    assert.equal(readModelProcess('/nowhere/status.json'), null);
  });
});
