import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { requestNodeArguments } from '../../apps/cli/src/pm2-apps.ts';
import { clearPlace, makeStackPlace, projectRoot, runCommand, type Stack, startStack } from '../kit/stack.ts';
import { stackProcesses } from '../kit/stack-processes.ts';
import { waitFor } from '../kit/wait-for.ts';

const secret = 'not-for-pm2-7d1f';
let stack: Stack;

before(async () => {
  stack = await startStack({ env: { SOME_API_TOKEN: secret, TOOL_URL: `https://me:${secret}@tool.test/` } });
});
after(async () => {
  await stack.stop();
});

interface Entry {
  name: string;
  pid: number;
  pm2_env: { status: string; restart_time: number };
}
const list = async () => JSON.parse((await stack.pm2(['jlist'])).trim().split('\n').at(-1) ?? '') as Entry[];

test('npm start ends when both models answer, and says URL, key and who really answers', async () => {
  const { startOutput, url, key } = stack;
  assert.equal((await fetch(`${url}/health`)).status, 200);
  assert.ok(startOutput.includes(url), startOutput);
  assert.ok(startOutput.includes(key), startOutput);
  assert.match(startOutput, /built-in CPU engine with universal-sentence-encoder-lite, not by Qwen/);
  assert.doesNotMatch(startOutput, /\[PM2\]|npm warn/);
});

test('the curl that npm start prints works with its key', async () => {
  const answer = await fetch(`${stack.url}/v1/embeddings`, {
    method: 'POST',
    headers: { authorization: `Bearer ${stack.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'Qwen3-Embedding-0.6B', input: 'Hello, world!' }),
  });
  assert.equal(answer.status, 200, await answer.text());
});

test('pm2 shows one app for each part and no secret of the caller, of the key file or of the config', async () => {
  const shown = await stack.pm2(['jlist']);
  const names = new Set((await list()).map(entry => entry.name));
  assert.deepEqual([...names].sort(), ['embedding', 'gateway', 'monitor', 'reranker', 'scheduler', 'state']);
  assert.ok(!shown.includes(secret));
  assert.ok(!shown.includes(stack.key));
  const config = readdirSync(join(stack.pm2Home, 'er-gateway')).map(name =>
    join(stack.pm2Home, 'er-gateway', name),
  );
  assert.equal(config.length, 1);
  assert.equal(statSync(config[0] ?? '').mode & 0o777, 0o600);
});

test('V8 runs as requests need it in the processes that they go through', async () => {
  // PM2 writes over their command lines; the code that they keep is named after the flags that they really got.
  const flags = requestNodeArguments.join('').replaceAll(/\W+/g, '-');
  for (const app of ['gateway', 'scheduler', 'state'])
    await waitFor(`kept code of ${app} with ${flags}`, () =>
      readdirSync(join(projectRoot, 'dist', app)).some(name => name.endsWith(`${flags}.cache`)),
    );
});

test('a second npm start says that it is up and changes nothing', async () => {
  const before = await list();
  const { code, output } = await stack.run('start');
  assert.equal(code, 0, output);
  assert.match(output, /up already/);
  assert.deepEqual(
    (await list()).map(({ name, pid }) => [name, pid]),
    before.map(({ name, pid }) => [name, pid]),
  );
});

test('npm run status shows every app, model, port in one look, and as JSON', async () => {
  const { code, output } = await stack.run('status', '--json');
  assert.equal(code, 0, output);
  const status = JSON.parse(output);
  assert.equal(status.isReady, true);
  assert.deepEqual(
    status.models.map((model: { role: string; state: string }) => [model.role, model.state]),
    [
      ['embedding', 'ready'],
      ['reranker', 'ready'],
    ],
  );
  assert.ok(status.ports.every((port: { pid: number | null }) => port.pid !== null));
  const people = await stack.run('status');
  assert.match(people.output, /^er-gateway is ready/m);
  assert.match(people.output, /^gateway +2\/2 +online/m);
});

test('models stop makes /health name the model, models start brings it back', async () => {
  const stopped = await stack.run('models', 'stop', 'reranker');
  assert.equal(stopped.code, 0, stopped.output);
  await waitFor('503', async () => (await fetch(`${stack.url}/health`)).status === 503);
  const health = await (await fetch(`${stack.url}/health`)).text();
  assert.match(health, /Qwen3-Reranker-0.6B/);
  const started = await stack.run('models', 'start', 'reranker');
  assert.equal(started.code, 0, started.output);
  await waitFor('200', async () => (await fetch(`${stack.url}/health`)).status === 200);
});

test('npm start starts only what is missing', async () => {
  await stack.pm2(['delete', 'monitor']);
  const before = (await list()).map(({ name, pid }) => `${name} ${pid}`);
  const { code, output } = await stack.run('start');
  assert.equal(code, 0, output);
  const now = (await list()).map(({ name, pid }) => `${name} ${pid}`);
  assert.deepEqual(now.filter(line => !line.startsWith('monitor ')).sort(), before.sort());
  assert.ok(now.some(line => line.startsWith('monitor ')));
});

test('pm2 reload ecosystem.config.js keeps serving and still hides the secrets', async () => {
  await stack.pm2(['reload', 'ecosystem.config.js']);
  await waitFor('200', async () => (await fetch(`${stack.url}/health`)).status === 200, {
    timeoutMs: 30_000,
  });
  assert.ok(!(await stack.pm2(['jlist'])).includes(secret));
});

test('npm run logs shows the last lines of one app', async () => {
  const { code, output } = await stack.run('logs', 'scheduler');
  assert.equal(code, 0, output);
  assert.match(output, /scheduler is up/);
});

test('a taken port: status 1, the port, its setting and its owner are named, nothing is started', async () => {
  const place = await makeStackPlace();
  const squatter = createServer().listen(place.ports.embedding, '127.0.0.1');
  try {
    const { code, output } = await runCommand(place, 'start');
    assert.equal(code, 1, output);
    assert.match(
      output,
      new RegExp(`models\\.embedding\\.port: port ${place.ports.embedding} is taken by pid`),
    );
    assert.match(output, new RegExp(`pid ${process.pid} `));
    assert.deepEqual(stackProcesses(place.env.PM2_HOME ?? ''), []);
  } finally {
    squatter.close();
    assert.deepEqual(await clearPlace(place), []);
  }
});

test('three mistakes in the configuration: status 78, all three named, from npm start and from pm2', async () => {
  const place = await makeStackPlace({
    env: { ER_GATEWAY_PORT: 'many', ER_ENGINE: 'magic', ER_NO_SUCH_THING: '1' },
  });
  try {
    const { code, output } = await runCommand(place, 'start');
    assert.equal(code, 78, output);
    for (const name of ['gateway.port', 'engine', 'ER_NO_SUCH_THING'])
      assert.ok(output.includes(name), output);
    assert.ok(!existsSync(place.env.PM2_HOME ?? ''), 'PM2 was not even asked');
  } finally {
    await clearPlace(place);
  }
});

test('npm stop leaves no process, and once more is no error', async () => {
  const place = await makeStackPlace({ workers: 1 });
  const started = await runCommand(place, 'start');
  assert.equal(started.code, 0, started.output);
  const stopped = await runCommand(place, 'stop');
  assert.equal(stopped.code, 0, stopped.output);
  assert.deepEqual(stackProcesses(place.env.PM2_HOME ?? ''), []);
  const again = await runCommand(place, 'stop');
  assert.equal(again.code, 0, again.output);
  assert.match(again.output, /Nothing runs/);
  assert.deepEqual(await clearPlace(place), []);
  assert.ok(!existsSync(place.folder));
});

test('an app that cannot run ends npm start early, with the reason and the end of its log', async () => {
  const place = await makeStackPlace({ workers: 1 });
  // Files that only the gateway itself opens.
  place.env.ER_GATEWAY_TLS_CERT = join(place.folder, 'none.crt');
  place.env.ER_GATEWAY_TLS_KEY = join(place.folder, 'none.key');
  try {
    const { code, output } = await runCommand(place, 'start');
    assert.equal(code, 1, output);
    assert.match(output, /gateway (is errored|ends again and again|cannot run)/);
    assert.match(output, /The end of .*gateway\.log/);
    assert.ok(readFileSync(join(place.env.ER_LOGS_DIR ?? '', 'gateway.log'), 'utf8').length > 0);
  } finally {
    await clearPlace(place);
  }
});
