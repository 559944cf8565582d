import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ModelView } from '../../../apps/cli/src/model-view.ts';
import type { Pm2Process } from '../../../apps/cli/src/pm2.ts';
import { describeFailure, FailureFinder } from '../../../apps/cli/src/start-failure.ts';

const process = (change: Partial<Pm2Process>): Pm2Process => ({
  name: 'gateway',
  id: 1,
  instance: 0,
  pid: 10,
  status: 'online',
  restarts: 0,
  exitCode: null,
  startedAt: 0,
  memoryBytes: 0,
  isOurs: true,
  cwd: '/x',
  configFile: null,
  logFile: '/nowhere/gateway.log',
  ...change,
});
const model = (change: Partial<ModelView>): ModelView => ({
  role: 'embedding',
  app: 'embedding',
  replica: 0,
  servedName: 'Q',
  engine: 'vllm',
  engineReason: '',
  modelName: null,
  engineLabel: null,
  isReady: false,
  state: 'loading',
  detail: 'loading weights',
  lastError: null,
  failedStarts: 0,
  url: 'http://127.0.0.1:8000',
  pid: null,
  gpu: null,
  since: null,
  gpuMemoryShare: null,
  inFlight: null,
  inputsPerSecond: null,
  p50Ms: null,
  logFile: null,
  ...change,
});

const find = (...seen: Parameters<FailureFinder['find']>) => new FailureFinder().find(...seen);

test('what starts, loads or restarted once is no failure', () => {
  const processes = [process({}), process({ id: 2, status: 'launching' }), process({ id: 3, restarts: 1 })];
  const models = [model({}), model({ state: 'starting', failedStarts: 2 })];
  assert.equal(find(processes, models), null);
});

test('an app that ended with status 78 is named as wrongly configured', () => {
  const failure = find([process({ status: 'stopped', exitCode: 78 })], []);
  assert.match(failure?.reason ?? '', /gateway cannot run as it is configured/);
});

test('an app that PM2 gave up, or left waiting for ever, is a failure', () => {
  for (const status of ['errored', 'stopped', 'waiting restart'])
    assert.match(find([process({ status })], [])?.reason ?? '', /gateway is/, status);
});

test('restarts count from when a process was first seen: PM2 counts those of weeks', () => {
  const failures = new FailureFinder();
  assert.equal(failures.find([process({ restarts: 12 })], []), null);
  assert.equal(failures.find([process({ restarts: 16 })], []), null);
  assert.match(failures.find([process({ restarts: 17 })], [])?.reason ?? '', /again and again/);
});

test('a model server that failed three times, or for good, is a failure with its own words', () => {
  const looping = find([], [model({ failedStarts: 3, lastError: 'CUDA out of memory' })]);
  assert.match(looping?.reason ?? '', /embedding does not start: CUDA out of memory/);
  assert.match(find([], [model({ state: 'failed' })])?.reason ?? '', /loading weights/);
});

test('a failure whose log is missing is described by its reason alone', () => {
  assert.equal(describeFailure({ reason: 'it broke', logFile: '/nowhere/x.log' }), 'it broke');
});
