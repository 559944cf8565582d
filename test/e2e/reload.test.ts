import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { startLoad } from '../kit/load.ts';
import { pidsOf } from '../kit/process-status.ts';
import { runProgram } from '../kit/run-program.ts';
import { clearPlace, firstKey, makeStackPlace, projectRoot, type StackPlace } from '../kit/stack.ts';
import { waitFor } from '../kit/wait-for.ts';

/** A copy of the project whose build can be broken; its dependencies are those of this one. */
const copy = mkdtempSync(join(tmpdir(), 'er-copy-'));
const bundle = join(copy, 'dist/gateway/main.cjs');
let place: StackPlace;

const run = (...args: string[]) =>
  runProgram(process.execPath, ['apps/cli/bootstrap.cjs', ...args], {
    cwd: copy,
    env: place.env,
    timeoutMs: 120_000,
  });
const workers = () => pidsOf(place.env.ER_RUN_DIR ?? '', 'gateway').sort();
const load = ({ signal: until }: TestContext) =>
  startLoad({
    url: `http://127.0.0.1:${place.ports.gateway}`,
    key: firstKey(place.env.ER_KEYS_FILE ?? ''),
    connections: 8,
    body: id => ({ input: `about ${id} of ${performance.now()}` }),
    until,
  });

before(async () => {
  for (const name of [
    'apps',
    'shared',
    'supervisor',
    'package.json',
    'package-lock.json',
    'ecosystem.config.js',
  ]) {
    cpSync(join(projectRoot, name), join(copy, name), { recursive: true, preserveTimestamps: true });
  }
  symlinkSync(join(projectRoot, 'node_modules'), join(copy, 'node_modules'));
  place = await makeStackPlace({ workers: 2, env: { ER_LIMITS_REQUESTS_PER_MINUTE: '1000000' } });
  const { code, output } = await run('start');
  assert.equal(code, 0, output);
});
after(async () => {
  const stopped = await run('stop');
  assert.equal(stopped.code, 0, stopped.output);
  assert.deepEqual(await clearPlace(place), []);
  rmSync(copy, { recursive: true });
});

test('npm run reload replaces every gateway worker under keep-alive load and fails no request', async t => {
  const old = workers();
  const running = load(t);
  await running.answersMore(20);
  const { code, output } = await run('reload');
  assert.equal(code, 0, output);
  await waitFor('the old workers to be gone', () => !workers().some(pid => old.includes(pid)), {
    timeoutMs: 60_000,
  });
  await running.answersMore(50);
  assert.deepEqual((await running.stop()).failures, []);
  assert.equal(workers().length, 2);
});

test('a build that fails at boot is stopped by a canary: no old worker goes, no request fails', async t => {
  const good = readFileSync(bundle, 'utf8');
  writeFileSync(bundle, `throw new Error('a broken build');\n${good}`);
  for (const name of readdirSync(join(copy, 'dist/gateway')))
    if (name.startsWith('main-')) rmSync(join(copy, 'dist/gateway', name));
  const old = workers();
  const running = load(t);
  await running.answersMore(20);
  const { code, output } = await run('reload');
  assert.equal(code, 1, output);
  assert.match(
    output,
    /Nothing was reloaded: a worker of the present build was tried, and it ended with status/,
  );
  assert.match(output, /a broken build/);
  await running.answersMore(50);
  assert.deepEqual((await running.stop()).failures, []);
  assert.deepEqual(workers(), old);
  writeFileSync(bundle, good);
});
