import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseGpuMemory } from '../../../apps/cli/src/gpus.ts';
import { removeRunFiles } from '../../../apps/cli/src/stop.ts';

test('npm stop forgets failed starts, and keeps how long a model took to load', t => {
  const folder = mkdtempSync(join(tmpdir(), 'er-run-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const put = (name: string, value: object) => writeFileSync(join(folder, name), JSON.stringify(value));
  put('embedding.starts.json', { failedStarts: 3, lastError: 'x', loadMs: 41_000 });
  put('reranker.starts.json', { failedStarts: 3, lastError: 'x', loadMs: null });
  put('embedding.status.json', {});
  put('gpu-0.lock', {});
  removeRunFiles({ run_dir: folder });
  assert.deepEqual(readdirSync(folder), ['embedding.starts.json']);
  assert.deepEqual(JSON.parse(readFileSync(join(folder, 'embedding.starts.json'), 'utf8')), {
    loadMs: 41_000,
  });

  rmSync(join(folder, 'embedding.starts.json'));
  removeRunFiles({ run_dir: folder });
  assert.ok(!existsSync(folder));
});

test('a process whose GPU memory the driver does not say holds no known memory, not none', () => {
  const rows = [
    ['7', '1024'],
    ['8', '[N/A]'],
  ];
  assert.deepEqual([...parseGpuMemory(rows)], [[7, 1024]]);
});
