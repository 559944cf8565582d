import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { isAtLeast, oldestNode } from '../../apps/cli/node-version.cjs';
import { fourCurls, runCurl } from '../kit/four-curls.ts';
import { type Load, requestIdOf, startLoad } from '../kit/load.ts';
import { pidOf, pidsOf, processStatuses } from '../kit/process-status.ts';
import { listProcesses, runPm2 } from '../kit/run-pm2.ts';
import { type ProgramResult, runProgram } from '../kit/run-program.ts';
import { clearPlace, firstKey, makeStackPlace, projectRoot, type StackPlace } from '../kit/stack.ts';
import { waitFor } from '../kit/wait-for.ts';

const workers = 2;
const connections = 8;
const patient = { timeoutMs: 60_000 };

const home = (place: StackPlace) => place.env.PM2_HOME ?? '';
const runDir = (place: StackPlace) => place.env.ER_RUN_DIR ?? '';
const isHealthy = async (url: string) => (await fetch(`${url}/health`)).status === 200;

/** A command as it is documented, in a shell, in a place. */
const inShell = (place: StackPlace, command: string): Promise<ProgramResult> =>
  runProgram('sh', ['-c', command], { cwd: projectRoot, env: place.env });

describe('npx pm2 start ecosystem.config.js', () => {
  let place: StackPlace;
  let url: string;
  let key: string;

  before(async () => {
    place = await makeStackPlace({ workers, env: { ER_LIMITS_REQUESTS_PER_MINUTE: '1000000' } });
    url = `http://127.0.0.1:${place.ports.gateway}`;
    const { code, output } = await inShell(place, 'npx pm2 start ecosystem.config.js');
    assert.equal(code, 0, output);
    await waitFor('both models', () => isHealthy(url), patient);
    key = firstKey(place.env.ER_KEYS_FILE ?? '');
  });
  after(async () => {
    if (place) assert.deepEqual(await clearPlace(place), []);
  });

  const load = ({ signal: until }: TestContext): Load =>
    startLoad({
      url,
      key,
      connections,
      body: id => ({ input: `about ${id} of ${performance.now()}` }),
      until,
    });

  /** The worker that serves each connection of a load that runs: the audit trail of which it is in. */
  const instancesOf = (): Map<number, number> => {
    const found = new Map<number, number>();
    for (let instance = 0; instance < workers; instance++) {
      const trail = readFileSync(
        join(place.env.ER_LOGS_DIR ?? '', 'audit', `gateway-${instance}.jsonl`),
        'utf8',
      );
      for (let connection = 0; connection < connections; connection++)
        if (trail.includes(`"request_id":"${requestIdOf(connection)}`)) found.set(connection, instance);
    }
    return found;
  };

  test('starts every app, and both models answer', async () => {
    const list = await listProcesses(place);
    assert.deepEqual(list.map(({ name }) => name).sort(), [
      'embedding',
      'gateway',
      'gateway',
      'monitor',
      'reranker',
      'scheduler',
      'state',
    ]);
    for (const { name, pm2_env } of list) assert.equal(pm2_env.status, 'online', name);
    const health = (await runCurl(fourCurls.health, { url, key })) as { status: string };
    assert.equal(health.status, 'ok');
  });

  test('kill -9 of a gateway worker fails only requests on its connections, and PM2 replaces it', async t => {
    const worker = (await listProcesses(place)).find(({ name }) => name === 'gateway');
    assert.ok(worker);
    const { pid: victim, pm2_env } = worker;
    const running = load(t);
    await waitFor('all connections in the audit trail', () => instancesOf().size === connections);
    const served = instancesOf();
    process.kill(victim, 'SIGKILL');
    await running.answersMore(100);
    await waitFor('its successor', () => pidsOf(runDir(place), 'gateway').length === workers, patient);
    await running.answersMore(100);
    const { failures } = await running.stop();

    const hit = [...served]
      .filter(([, by]) => by === pm2_env.NODE_APP_INSTANCE)
      .map(([connection]) => connection);
    assert.ok(hit.length > 0 && hit.length < connections, 'each worker has some of the connections');
    assert.deepEqual(
      failures.filter(({ connection }) => !hit.includes(connection)),
      [],
    );
    const failed = failures.map(({ connection }) => connection);
    assert.equal(new Set(failed).size, failed.length, 'one failure a connection: what was under way on it');
    assert.ok(!pidsOf(runDir(place), 'gateway').includes(victim));
  });

  for (const app of ['scheduler', 'state', 'monitor']) {
    test(`kill -9 of ${app} under load fails no request, and PM2 replaces it`, async t => {
      const victim = pidOf(runDir(place), app);
      const running = load(t);
      await running.answersMore(20);
      process.kill(victim, 'SIGKILL');
      await waitFor('its successor', () => pidsOf(runDir(place), app).some(pid => pid !== victim), patient);
      await running.answersMore(50);
      const { failures } = await running.stop();
      assert.deepEqual(failures, []);
    });
  }

  test('pm2 reload gateway under load replaces every worker and fails no request', async t => {
    const old = pidsOf(runDir(place), 'gateway');
    const running = load(t);
    await running.answersMore(20);
    const { code, output } = await runPm2(place, 'reload', 'gateway');
    assert.equal(code, 0, output);
    await waitFor(
      'the old workers to be gone',
      () => !pidsOf(runDir(place), 'gateway').some(pid => old.includes(pid)),
      patient,
    );
    await running.answersMore(50);
    const { failures } = await running.stop();
    assert.deepEqual(failures, []);
    assert.equal(pidsOf(runDir(place), 'gateway').length, workers);
  });

  test('after all that no request is left in flight', async () => {
    const nothingIn = async (app: string) => {
      const statuses = await processStatuses<{ inFlight: number }>(runDir(place), app);
      return statuses.every(({ status }) => status.inFlight === 0);
    };
    await waitFor('nothing in flight', async () => (await nothingIn('gateway')) && nothingIn('scheduler'));
  });
});

/** The first Node on PATH that is not the project's own: what a global pm2 would run on. */
const machineNode = (process.env.PATH ?? '')
  .split(delimiter)
  .filter(folder => !folder.includes('node_modules'))
  .map(folder => join(folder, 'node'))
  .find(existsSync);
const machineVersion = machineNode && execFileSync(machineNode, ['-v'], { encoding: 'utf8' }).trim();

// On a machine whose Node is new enough there is nothing to refuse.
if (machineNode && machineVersion && !isAtLeast(machineVersion, oldestNode)) {
  test(`a global pm2 on Node ${machineVersion} is refused at once with the reason and a command that works`, async () => {
    const place = await makeStackPlace({ workers: 1 });
    // As a shell outside of npm has it: the machine's Node first, the project's own nowhere.
    place.env.PATH = process.env.PATH?.split(delimiter)
      .filter(folder => !folder.includes('node_modules'))
      .join(delimiter);
    try {
      const globalPm2 = [join(projectRoot, 'node_modules/pm2/bin/pm2'), 'start', 'ecosystem.config.js'];
      const begin = performance.now();
      const refused = await runProgram(machineNode, globalPm2, { cwd: projectRoot, env: place.env });
      assert.equal(refused.code, 78, refused.output);
      assert.ok(performance.now() - begin < 20_000);
      assert.ok(refused.output.includes(`this is Node ${machineVersion.slice(1)}`), refused.output);
      assert.ok(refused.output.includes(`${oldestNode} or newer is needed`), refused.output);
      const [, command] = /`(npx pm2 [^`]+)`/.exec(refused.output) ?? [];
      assert.ok(command, refused.output);

      const { code, output } = await inShell(place, command);
      assert.equal(code, 0, output);
      const health = () => isHealthy(`http://127.0.0.1:${place.ports.gateway}`);
      await waitFor('both models', health, patient);
      for (const { pm2_env } of await listProcesses(place))
        assert.ok(isAtLeast(pm2_env.node_version, oldestNode), pm2_env.node_version);
    } finally {
      assert.deepEqual(await clearPlace(place), []);
    }
    assert.ok(!existsSync(home(place)));
  });
}
