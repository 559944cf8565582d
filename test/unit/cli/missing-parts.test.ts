import assert from 'node:assert/strict';
import { test } from 'node:test';
import { missingParts, processName } from '../../../apps/cli/src/missing-parts.ts';
import type { Pm2Process } from '../../../apps/cli/src/pm2.ts';
import type { Pm2App } from '../../../apps/cli/src/pm2-apps.ts';

const app = (name: string) => ({ name }) as Pm2App;
const process = (id: number, name: string, instance: number, status: string) =>
  ({ id, name, instance, status }) as Pm2Process;
const wanted = [app('gateway'), app('embedding'), app('reranker')];

test('an app is missing when none of its processes runs, and one process when others of its app do', () => {
  const { apps, processes } = missingParts(wanted, [
    process(0, 'gateway', 0, 'online'),
    process(1, 'gateway', 1, 'launching'),
    process(2, 'embedding', 0, 'online'),
    process(3, 'embedding', 1, 'stopped'),
    process(4, 'reranker', 0, 'errored'),
    process(5, 'somebody-else', 0, 'stopped'),
  ]);
  assert.deepEqual(
    apps.map(({ name }) => name),
    ['reranker'],
  );
  assert.deepEqual(processes.map(processName), ['embedding-1']);
});

test('nothing is missing where all runs, and everything where nothing is listed', () => {
  const all = wanted.map(({ name }, id) => process(id, name, 0, 'online'));
  assert.deepEqual(missingParts(wanted, all), { apps: [], processes: [] });
  assert.deepEqual(missingParts(wanted, []), { apps: wanted, processes: [] });
});
