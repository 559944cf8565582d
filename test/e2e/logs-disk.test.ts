import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { processStatuses } from '../kit/process-status.ts';
import { listProcesses, runPm2 } from '../kit/run-pm2.ts';
import { clearPlace, firstKey, makeStackPlace, runCommand, type StackPlace } from '../kit/stack.ts';
import { waitFor } from '../kit/wait-for.ts';

/** Every write to it fails with ENOSPC, as on a full disk. */
const fullDisk = '/dev/full';
const workers = 2;

let place: StackPlace;
let url: string;
let key: string;
const runDir = () => place.env.ER_RUN_DIR ?? '';
const logOf = (name: string) => join(place.env.ER_LOGS_DIR ?? '', name);

before(async () => {
  place = await makeStackPlace({ workers });
  url = `http://127.0.0.1:${place.ports.gateway}`;
  mkdirSync(logOf('audit'), { recursive: true });
  // All but the gateway's own log, which is to say what happens.
  for (let worker = 0; worker < workers; worker++)
    symlinkSync(fullDisk, logOf(`audit/gateway-${worker}.jsonl`));
  for (const app of [
    'scheduler',
    'state',
    'monitor',
    'embedding',
    'reranker',
    'embedding_model',
    'reranker_model',
  ])
    symlinkSync(fullDisk, logOf(`${app}.log`));
  const { code, output } = await runCommand(place, 'start');
  assert.equal(code, 0, output);
  key = firstKey(place.env.ER_KEYS_FILE ?? '');
});
after(async () => {
  if (place) assert.deepEqual(await clearPlace(place), []);
});

const embed = async (text: string) => {
  const answer = await fetch(`${url}/v1/embeddings?api_key=${key}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', connection: 'close' },
    body: JSON.stringify({ input: text }),
  });
  await answer.arrayBuffer();
  return answer.status;
};
const restarts = async () =>
  (await listProcesses(place))
    .map(({ name, pm2_env }) => `${name} ${pm2_env.status} ${pm2_env.restart_time}`)
    .sort();

test('a full disk stops no request: the audit trail is given up, the log says so once a worker, the status counts', async () => {
  for (let time = 0; time < 10; time++) assert.equal(await embed(`about ${time}`), 200);
  const complaints = () =>
    readFileSync(logOf('gateway.log'), 'utf8')
      .split('\n')
      .filter(line => line.includes('the audit trail cannot be written; requests go on without it'));
  const lost = async () => {
    const statuses = await processStatuses<{ auditLinesLost: number }>(runDir(), 'gateway');
    return statuses.reduce((sum, { status }) => sum + status.auditLinesLost, 0);
  };
  await waitFor('10 lost lines', async () => (await lost()) >= 10);
  const health = async () =>
    (await fetch(`${url}/health`)).json() as Promise<{ status: string; reason: string }>;
  await waitFor('health to say so', async () => {
    const { status, reason } = await health();
    return status === 'degraded' && reason.includes('the audit trail cannot be written');
  });
  await waitFor('the metrics to say so', async () => {
    const answer = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${key}` } });
    const page = await answer.text();
    return /^er_audit_failing 1$/m.test(page) && /^er_audit_lost_total [1-9]/m.test(page);
  });
  await waitFor('the log', () => complaints().length >= workers);
  assert.equal(complaints().length, workers);
  assert.ok(complaints().every(line => line.includes('code="ENOSPC"')));
});

test('when there is room again the audit trail goes on, and the log says how much was lost', async () => {
  for (let worker = 0; worker < workers; worker++) rmSync(logOf(`audit/gateway-${worker}.jsonl`));
  const log = () => readFileSync(logOf('gateway.log'), 'utf8');
  await waitFor(
    'both workers to write again',
    async () => {
      assert.equal(await embed('again'), 200);
      return log().split('the audit trail is written again').length - 1 === workers;
    },
    { timeoutMs: 20_000, intervalMs: 500 },
  );
  assert.match(log(), /the audit trail is written again lostLines=\d+/);
  for (let worker = 0; worker < workers; worker++)
    assert.match(readFileSync(logOf(`audit/gateway-${worker}.jsonl`), 'utf8'), /"route":"\/v1\/embeddings"/);
  const { code, output } = await runCommand(place, 'audit', 'verify');
  assert.equal(code, 0, output);
  assert.match(
    output,
    /The audit trail is whole: \d+ files, \d+ lines. \d+ lines could not be written at the time/,
  );
  const shown = await runCommand(
    place,
    'audit',
    'search',
    '--key',
    'default',
    '--since',
    '5m',
    '--limit',
    '2',
  );
  assert.equal(shown.code, 0, shown.output);
  assert.match(shown.output, /^time .*\n(.*default +127\.0\.0\.1.*\n){2}$/);
});

test('with every log on the full disk from the start on the system comes up and answers, and nothing restarts', async () => {
  assert.equal((await runCommand(place, 'stop')).code, 0);
  rmSync(logOf('gateway.log'));
  symlinkSync(fullDisk, logOf('gateway.log'));
  const { code, output } = await runCommand(place, 'start');
  assert.equal(code, 0, output);
  for (let time = 0; time < 10; time++) assert.equal(await embed(`about ${time}`), 200);
  assert.ok(lstatSync(logOf('gateway.log')).isSymbolicLink());
  assert.deepEqual(await restarts(), [
    'embedding online 0',
    'gateway online 0',
    'gateway online 0',
    'monitor online 0',
    'reranker online 0',
    'scheduler online 0',
    'state online 0',
  ]);
  assert.equal((await runPm2(place, 'ping')).code, 0);
});
