import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import {
  type GroupRecord,
  hasLivingSupervisor,
  isGroupLeftOver,
  killGroup,
  readGroupRecord,
  recordGroup,
} from '@er-gateway/shared/process-group';
import { groupMembers, readProcess } from '@er-gateway/shared/process-table';
import { waitFor } from '../../kit/wait-for.ts';

/** A group of two shells that ignore SIGTERM. */
async function startGroup(t: TestContext): Promise<number> {
  const child = spawn('sh', ['-c', "trap '' TERM; sleep 600 & wait"], { detached: true, stdio: 'ignore' });
  const pgid = child.pid ?? 0;
  const exit = once(child, 'exit');
  t.after(async () => {
    await killGroup(pgid);
    await exit;
  });
  await waitFor('both processes', () => groupMembers(pgid).length === 2);
  return pgid;
}

function recordFile(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'er-group-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, 'group.json');
}

describe('killGroup()', () => {
  it('returns when no member is left', async t => {
    const pgid = await startGroup(t);
    assert.deepEqual(await killGroup(pgid), []);
    assert.deepEqual(groupMembers(pgid), []);
  });

  it('is content with a group that is gone', async () => {
    assert.deepEqual(await killGroup(2 ** 22 + 1), []);
  });
});

describe('a recorded group', () => {
  it('is recognised while a member lives, with its leader or without', async t => {
    const file = recordFile(t);
    const pgid = await startGroup(t);
    recordGroup(file, pgid);
    const record = readGroupRecord(file);
    assert.ok(record);
    assert.equal(isGroupLeftOver(record), true);
    process.kill(pgid, 'SIGKILL');
    await waitFor('the leader to end', () => readProcess(pgid) === null);
    assert.equal(isGroupLeftOver(record), true);
    await killGroup(pgid);
    assert.equal(isGroupLeftOver(record), false);
  });

  it('is not taken for another one that has its number', async t => {
    const file = recordFile(t);
    const pgid = await startGroup(t);
    recordGroup(file, pgid);
    const record = readGroupRecord(file);
    assert.ok(record);
    assert.equal(isGroupLeftOver({ ...record, startTicks: record.startTicks - 1 }), false);
  });

  it('does not count after a reboot, nor when its file is broken or missing', async t => {
    const file = recordFile(t);
    assert.equal(readGroupRecord(file), null);
    recordGroup(file, process.pid);
    const record = JSON.parse(readFileSync(file, 'utf8')) as GroupRecord;
    writeFileSync(file, JSON.stringify({ ...record, bootId: 'another' }));
    assert.equal(readGroupRecord(file), null);
    writeFileSync(file, '{"pgid":');
    assert.equal(readGroupRecord(file), null);
  });

  it('has a living supervisor only while that very process lives, and never in ourselves', async t => {
    const file = recordFile(t);
    const pgid = await startGroup(t);
    recordGroup(file, pgid);
    const record = readGroupRecord(file);
    assert.ok(record);
    assert.equal(hasLivingSupervisor(record), false);
    const supervisorStartTicks = readProcess(pgid)?.startTicks ?? 0;
    const ofOther = { ...record, supervisorPid: pgid, supervisorStartTicks };
    assert.equal(hasLivingSupervisor(ofOther), true);
    assert.equal(hasLivingSupervisor({ ...ofOther, supervisorStartTicks: 1 }), false);
  });
});
