import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveConfig } from '@er-gateway/shared/config/effective-config';
import { pm2Apps, requestNodeArguments } from '../../../apps/cli/src/pm2-apps.ts';

const apps = (environment: NodeJS.ProcessEnv) => pm2Apps(resolveConfig('/project', environment), '/c.json');
const names = (environment: NodeJS.ProcessEnv) => apps(environment).map(app => app.name);

test('the defaults are 64 clustered workers, scheduler, state, two supervisors and monitor', () => {
  const found = apps({});
  assert.deepEqual(
    found.map(app => [app.name, app.exec_mode, app.instances]),
    [
      ['gateway', 'cluster', 64],
      ['scheduler', 'fork', 1],
      ['state', 'fork', 1],
      ['embedding', 'fork', 1],
      ['reranker', 'fork', 1],
      ['monitor', 'fork', 1],
    ],
  );
});

test('the processes that requests go through run with V8 as they need it', () => {
  const tuned = apps({}).filter(app => app.node_args === requestNodeArguments);
  assert.deepEqual(
    tuned.map(({ name }) => name),
    ['gateway', 'scheduler', 'state'],
  );
});

test('with Redis there is no state app', () => {
  assert.ok(!names({ REDIS_URL: 'redis://localhost' }).includes('state'));
});

test('a model with URLs has no supervisor', () => {
  assert.ok(!names({ ER_MODELS_EMBEDDING_URLS: 'http://gpu1:8000' }).includes('embedding'));
});

test('an app learns its settings from one file, and nothing of them stands in its description', () => {
  const [gateway] = apps({ REDIS_URL: 'redis://:hunter2@localhost' });
  assert.deepEqual(gateway?.env, { ER_EFFECTIVE_CONFIG: '/c.json' });
  assert.ok(!JSON.stringify(gateway).includes('hunter2'));
});

test('no app has a restart delay, which would hide that PM2 gave it up', () => {
  for (const app of apps({})) {
    assert.ok(!('restart_delay' in app) && !('exp_backoff_restart_delay' in app), app.name);
    assert.deepEqual(app.stop_exit_codes, [78]);
  }
});
