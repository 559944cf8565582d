import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { listProcesses, runPm2 } from '../kit/run-pm2.ts';
import type { ProgramResult } from '../kit/run-program.ts';
import { clearPlace, makeStackPlace, runCommand, type StackOptions, type StackPlace } from '../kit/stack.ts';
import { stackProcesses } from '../kit/stack-processes.ts';
import { waitFor } from '../kit/wait-for.ts';

/** The two ways to start everything. */
const starts: Record<string, (place: StackPlace) => Promise<ProgramResult>> = {
  'npm start': place => runCommand(place, 'start'),
  'pm2 start ecosystem.config.js': place => runPm2(place, 'start', 'ecosystem.config.js'),
};

/** Runs `work` in a place, and checks that nothing is left in it. */
async function inPlace(options: StackOptions, work: (place: StackPlace) => Promise<void>): Promise<void> {
  const place = await makeStackPlace(options);
  let problems: string[] = [];
  try {
    await work(place);
  } finally {
    problems = await clearPlace(place);
  }
  assert.deepEqual(problems, []);
}

/** What runs in a place, PM2's own daemon aside. */
const appsIn = ({ env }: StackPlace) =>
  stackProcesses(env.PM2_HOME ?? '').filter(({ command }) => !command.includes('God Daemon'));

/** A server of somebody else on a port. */
async function squat(port: number): Promise<Server> {
  const server = createServer(socket => socket.destroy());
  await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve));
  return server;
}
const close = (server: Server) => new Promise(resolve => server.close(resolve));

for (const [command, start] of Object.entries(starts)) {
  test(`${command}: three mistakes in the configuration are all named, with status 78, and no app is started`, () =>
    inPlace({}, async place => {
      place.env.ER_CONFIG = join(place.folder, 'er.config.yaml');
      writeFileSync(
        place.env.ER_CONFIG,
        'engine: magic\ngateway: { timeout_seconds: never }\nlimits: { requests_per_hour: 100 }\n',
      );
      const { code, output } = await start(place);
      assert.equal(code, 78, output);
      for (const mistake of [
        /engine: .*"vllm"/,
        /gateway\.timeout_seconds: /,
        /limits\.requests_per_hour: no such/,
      ])
        assert.match(output, mistake);
      assert.doesNotMatch(output, /\n +at /, 'a stack trace');
      assert.ok(!existsSync(join(place.env.ER_LOGS_DIR ?? '', 'gateway.log')));
      assert.deepEqual(appsIn(place), []);
    }));

  test(`${command}: vllm without its model folder is named with the setting, with status 78`, () =>
    inPlace({}, async place => {
      place.env.ER_ENGINE = 'vllm';
      place.env.ER_MODELS_EMBEDDING_PATH = join(place.folder, 'no-embedding');
      place.env.ER_MODELS_RERANKER_PATH = join(place.folder, 'no-reranker');
      const { code, output } = await start(place);
      assert.equal(code, 78, output);
      for (const role of ['embedding', 'reranker']) {
        assert.ok(output.includes(`models.${role}.path: no folder at ${place.folder}/no-${role}`), output);
        assert.ok(output.includes(`ER_MODELS_${role.toUpperCase()}_PATH`), output);
      }
      assert.deepEqual(appsIn(place), []);
    }));
}

test('npm start: taken ports are named with their settings and owner, with status 1, and nothing is started', () =>
  inPlace({}, async place => {
    const { gateway, embedding } = place.ports;
    const servers = await Promise.all([gateway, embedding].map(squat));
    try {
      const { code, output } = await runCommand(place, 'start');
      assert.equal(code, 1, output);
      for (const [setting, port] of [
        ['gateway.port', gateway],
        ['models.embedding.port', embedding],
      ]) {
        assert.ok(output.includes(`${setting}: port ${port} is taken by pid ${process.pid} `), output);
      }
      assert.match(output, /ER_GATEWAY_PORT/);
      assert.deepEqual(appsIn(place), []);
    } finally {
      await Promise.all(servers.map(close));
    }
  }));

test('pm2 start ecosystem.config.js: who finds its port taken says so and stays stopped; PM2 tries no second time', () =>
  inPlace({}, async place => {
    const { gateway, embedding } = place.ports;
    const servers = await Promise.all([gateway, embedding].map(squat));
    try {
      const { code, output } = await runPm2(place, 'start', 'ecosystem.config.js');
      assert.equal(code, 0, output);
      const stopped = await waitFor(
        'those that cannot run to be stopped',
        async () => {
          const list = await listProcesses(place);
          const hindered = list.filter(({ name }) => name === 'gateway' || name === 'embedding');
          return hindered.every(({ pm2_env }) => pm2_env.status === 'stopped') && hindered;
        },
        { timeoutMs: 30_000 },
      );
      assert.deepEqual(
        stopped
          .map(({ name, pm2_env }) => `${name} ${pm2_env.exit_code}, ${pm2_env.restart_time} restarts`)
          .sort(),
        ['embedding 78, 0 restarts', 'gateway 78, 0 restarts', 'gateway 78, 0 restarts'],
      );
      const log = (app: string) => readFileSync(join(place.env.ER_LOGS_DIR ?? '', `${app}.log`), 'utf8');
      assert.ok(log('gateway').includes(`gateway.port: 127.0.0.1:${gateway} is taken`), log('gateway'));
      assert.match(log('embedding'), new RegExp(`models\\.embedding\\.port: .* port ${embedding}\\b`));
    } finally {
      await Promise.all(servers.map(close));
    }
  }));
