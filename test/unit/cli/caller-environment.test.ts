import assert from 'node:assert/strict';
import { test } from 'node:test';
import { environmentForApps, isSecret } from '../../../apps/cli/src/caller-environment.ts';

test('names that hold secrets are secret, in any case and anywhere in the name', () => {
  for (const name of [
    'REDIS_URL',
    'ER_REDIS_URL',
    'AWS_SECRET_ACCESS_KEY',
    'HF_TOKEN',
    'npm_config_//registry.test/:_authToken',
    'PGPASSWORD',
    'GOOGLE_APPLICATION_CREDENTIALS',
    'openai_api_key',
  ])
    assert.equal(isSecret(name, 'x'), true, name);
});

test('a URL with a password is secret whatever its name, one without is not', () => {
  assert.equal(isSecret('DATABASE', 'postgres://me:hunter2@db/x'), true);
  assert.equal(isSecret('DATABASE', 'postgres://:hunter2@db/x'), true);
  assert.equal(isSecret('PROXY', 'http://proxy.test:8080/a@b'), false);
});

test('what the model servers need stays', () => {
  for (const name of [
    'PATH',
    'HOME',
    'CUDA_VISIBLE_DEVICES',
    'LD_LIBRARY_PATH',
    'TOKENIZERS_PARALLELISM',
    'HF_HOME',
  ])
    assert.equal(isSecret(name, '/x'), false, name);
});

test("secrets, npm's leftovers and our own settings do not reach the apps", () => {
  const kept = environmentForApps({
    PATH: '/bin',
    ER_GATEWAY_PORT: '1',
    npm_lifecycle_event: 'start',
    INIT_CWD: '/x',
    MY_TOKEN: 'x',
    LANG: 'C',
  });
  assert.deepEqual(kept, { PATH: '/bin', LANG: 'C' });
});
