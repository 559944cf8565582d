import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { closeLogs } from '../../../apps/cli/src/effective-config-file.ts';

test('files that PM2 writes to are for their owner alone, new and old ones, and lose nothing', t => {
  const folder = mkdtempSync(join(tmpdir(), 'er-logs-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [fresh, old] = [join(folder, 'state.log'), join(folder, 'gateway.log')];
  writeFileSync(old, 'a key');
  chmodSync(old, 0o644);
  closeLogs([fresh, old, old]);
  for (const file of [fresh, old]) assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(readFileSync(old, 'utf8'), 'a key');
});
