import assert from 'node:assert/strict';
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { newKey } from '@er-gateway/shared/keys/ensure-key-file';
import { Agent, request } from 'undici';
import { runPm2 } from '../kit/run-pm2.ts';
import {
  clearPlace,
  makeStackPlace,
  runCommand,
  type Stack,
  type StackPlace,
  startStack,
} from '../kit/stack.ts';
import { stackProcesses } from '../kit/stack-processes.ts';
import { waitFor } from '../kit/wait-for.ts';

const workers = 4;
/** Within which an edit of the file counts everywhere, in milliseconds. */
const promisedMs = 5000;

let stack: Stack;

before(async () => {
  stack = await startStack({ workers, env: { ER_LIMITS_REQUESTS_PER_MINUTE: '100000' } });
});
after(async () => {
  await stack?.stop();
});

interface Entry {
  key: string;
  name?: string;
  role?: string;
}
const readKeys = () => (JSON.parse(readFileSync(stack.keysFile, 'utf8')) as { keys: Entry[] }).keys;
const writeKeys = (keys: (Entry | string)[]) => writeFileSync(stack.keysFile, JSON.stringify({ keys }));

/** What each worker says to a key: PM2 hands new connections to the workers in turn. */
async function statusesWith(key: string): Promise<Set<number>> {
  const dispatcher = new Agent({ pipelining: 0 });
  const statuses = new Set<number>();
  for (let connection = 0; connection < workers; connection++) {
    const answer = await request(`${stack.url}/v1/models`, {
      dispatcher,
      headers: { authorization: `Bearer ${key}` },
    });
    await answer.body.dump();
    statuses.add(answer.statusCode);
  }
  await dispatcher.close();
  return statuses;
}
const allSay = async (key: string, status: number) => {
  const statuses = await statusesWith(key);
  return statuses.size === 1 && statuses.has(status);
};

test('the first start makes a key file of mode 0600 with one admin key, which the log and npm start show', () => {
  assert.equal(statSync(stack.keysFile).mode & 0o777, 0o600);
  const [entry, ...others] = readKeys();
  assert.ok(entry);
  assert.deepEqual([others.length, entry.role], [0, 'admin']);
  assert.match(entry.key, /^er-[0-9A-Za-z]{40}$/);
  const log = readFileSync(join(stack.logsDir, 'gateway.log'), 'utf8');
  assert.equal(log.split(entry.key).length - 1, 1, 'shown once, by one worker');
  assert.ok(stack.startOutput.includes(entry.key));
});

test('a key added by hand is good in every worker within 5 s, and none of a worker is once it was removed', async () => {
  const added = newKey();
  assert.ok(await allSay(added, 401));
  const made = readKeys();
  writeKeys([...made, { key: added, name: 'by hand' }]);
  await waitFor('the new key in all workers', () => allSay(added, 200), { timeoutMs: promisedMs });
  assert.ok(await allSay(added, 200), 'it stays good');
  const audits = Array.from({ length: workers }, (_, worker) =>
    readFileSync(join(stack.logsDir, 'audit', `gateway-${worker}.jsonl`), 'utf8'),
  );
  assert.ok(
    audits.every(lines => lines.includes('"key_name":"by hand"')),
    'every worker was asked',
  );

  writeKeys(made);
  await waitFor('the end of the key in all workers', () => allSay(added, 401), { timeoutMs: promisedMs });
  assert.ok(await allSay(added, 401), 'it stays refused');
  assert.ok(await allSay(stack.key, 200), 'the other key is not touched');
});

test('an edit that cannot be read takes nobody out and is left as it is', async () => {
  const made = readFileSync(stack.keysFile, 'utf8');
  writeFileSync(stack.keysFile, '{"keys": [');
  const log = () => readFileSync(join(stack.logsDir, 'gateway.log'), 'utf8');
  await waitFor('every worker to complain', () => log().split('the keys read before stay').length > workers);
  assert.ok(await allSay(stack.key, 200));
  assert.equal(readFileSync(stack.keysFile, 'utf8'), '{"keys": [');
  writeFileSync(stack.keysFile, made);
});

test('an editor that replaces the file, and a bare list of keys, work the same', async () => {
  const added = newKey();
  const made = readFileSync(stack.keysFile, 'utf8');
  writeFileSync(`${stack.keysFile}.new`, JSON.stringify([stack.key, added]));
  renameSync(`${stack.keysFile}.new`, stack.keysFile);
  await waitFor('the new key in all workers', () => allSay(added, 200), { timeoutMs: promisedMs });
  writeFileSync(`${stack.keysFile}.new`, made);
  renameSync(`${stack.keysFile}.new`, stack.keysFile);
  await waitFor('the end of the key in all workers', () => allSay(added, 401), { timeoutMs: promisedMs });
});

/** Within which a change by command counts in every worker, in milliseconds. */
const toldMs = 1000;

test('npx er keys: a key is good in every worker within 1 s, changed, rotated, revoked and imported', async () => {
  const er = async (...args: string[]) => {
    const { code, output } = await stack.run('keys', ...args);
    assert.equal(code, 0, output);
    return output;
  };
  const made = JSON.parse(
    await er('create', 'by command', '--models', 'embedding', '--expires', '30d', '--json'),
  ) as { key: string; id: string; models: string[] };
  assert.deepEqual(made.models, ['embedding']);
  await waitFor('the new key in all workers', () => allSay(made.key, 200), { timeoutMs: toldMs });
  assert.match(await er('list'), new RegExp(`${made.id}  by command +user +managed +good +models=embedding`));
  assert.equal((JSON.parse(await er('show', 'by command')) as { id: string }).id, made.id);

  const answer = await er('rotate', made.id.slice(0, 6), '--grace', '1h');
  const [fresh = ''] = /er-[0-9A-Za-z]{40}/.exec(answer) ?? [];
  assert.ok((await allSay(fresh, 200)) && (await allSay(made.key, 200)));

  await er('update', 'by command', '--allow', '10.0.0.0/8');
  await waitFor('the change in all workers', () => allSay(fresh, 403), { timeoutMs: toldMs });
  await er('update', 'by command', '--allow', '');
  await waitFor('the change in all workers', () => allSay(fresh, 200), { timeoutMs: toldMs });

  assert.match(await er('revoke', 'by command'), /^Revoked: by command/);
  await waitFor('the end in all workers', () => allSay(fresh, 401), { timeoutMs: toldMs });
  assert.ok(await allSay(made.key, 401), 'the old text ends with it');

  const others = join(stack.logsDir, 'others.json');
  const other = newKey();
  writeFileSync(others, JSON.stringify([{ key: other, name: 'from elsewhere' }, stack.key]));
  assert.match(await er('import', others), /1 keys were taken over, 1 were known already/);
  await waitFor('the imported key in all workers', () => allSay(other, 200), { timeoutMs: toldMs });
  const unknown = await stack.run('keys', 'revoke', 'nobody');
  assert.deepEqual(
    [unknown.code, unknown.output.trim()],
    [1, 'There is no key nobody. See: npx er keys list'],
  );

  await stack.pm2(['restart', 'state']);
  assert.ok(await allSay(other, 200), 'kept over a restart of the state app');
});

/** What runs in a place, PM2's own daemon aside. */
const appsIn = ({ env }: StackPlace) =>
  stackProcesses(env.PM2_HOME ?? '').filter(({ command }) => !command.includes('God Daemon'));

for (const [name, text, complaint] of [
  ['broken JSON', '{"keys": [{"key": "er-', /er_api_keys\.json: is not valid JSON at line 1/],
  ['an empty file', '', /er_api_keys\.json: is empty/],
] as const) {
  test(`${name} in the key file: npm start and pm2 name file and place, start nothing and touch nothing`, async () => {
    const place = await makeStackPlace();
    const file = place.env.ER_KEYS_FILE ?? '';
    writeFileSync(file, text, { mode: 0o640 });
    try {
      const { code, output } = await runCommand(place, 'start');
      assert.equal(code, 78, output);
      assert.match(output, complaint);
      assert.doesNotMatch(output, /\n +at /, 'a stack trace');
      assert.ok(!existsSync(place.env.PM2_HOME ?? ''), 'PM2 was not even asked');
      const started = await runPm2(place, 'start', 'ecosystem.config.js');
      assert.equal(started.code, 78, started.output);
      assert.match(started.output, complaint);
      assert.deepEqual(appsIn(place), []);
      assert.equal(readFileSync(file, 'utf8'), text);
      assert.equal(statSync(file).mode & 0o777, 0o640);
    } finally {
      assert.deepEqual(await clearPlace(place), []);
    }
  });
}
