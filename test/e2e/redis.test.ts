import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { hashKey } from '@er-gateway/shared/keys/hash-key';
import { Redis } from 'ioredis';
import { Agent, request } from 'undici';
import { fourCurls, runCurl } from '../kit/four-curls.ts';
import { type KeyFile, makeKeyFile } from '../kit/key-file.ts';
import { startLoad } from '../kit/load.ts';
import { type RedisServer, redisMissing, startRedis } from '../kit/redis.ts';
import { listProcesses, runPm2 } from '../kit/run-pm2.ts';
import { type Stack, startStack } from '../kit/stack.ts';
import { waitFor } from '../kit/wait-for.ts';

const workers = 2;
const requestsPerMinute = 1000;
const patient = { timeoutMs: 30_000 };

describe('the stack with REDIS_URL', { skip: redisMissing() }, () => {
  let redis: RedisServer;
  let admin: Redis;
  let keyFile: KeyFile;
  let stack: Stack;

  before(async () => {
    redis = await startRedis();
    admin = new Redis(redis.url);
    admin.on('error', () => {}); // a test kills the server
    keyFile = makeKeyFile(6);
    stack = await startStack({
      workers,
      env: {
        REDIS_URL: redis.url,
        ER_KEYS_FILE: keyFile.file,
        ER_LIMITS_REQUESTS_PER_MINUTE: String(requestsPerMinute),
      },
    });
  });
  after(async () => {
    await stack?.stop();
    keyFile?.remove();
    admin?.disconnect();
    await redis?.stop();
  });

  /** A key that no test has used yet. */
  let used = 1;
  const nextKey = () => {
    const key = keyFile.keys[used++];
    assert.ok(key, 'every key of this test is used up');
    return key;
  };

  /** Sends `count` requests with a key over several connections; resolves to how often each status came. */
  const statusesOf = async (key: string, count: number) => {
    const dispatcher = new Agent({ connections: 16 });
    const statuses: Record<number, number> = {};
    const ask = async () => {
      const { statusCode, body } = await request(`${stack.url}/v1/models`, {
        dispatcher,
        headers: { authorization: `Bearer ${key}` },
      });
      await body.dump();
      statuses[statusCode] = (statuses[statusCode] ?? 0) + 1;
    };
    await Promise.all(Array.from({ length: count }, ask));
    await dispatcher.close();
    return statuses;
  };
  const log = () => readFileSync(join(stack.logsDir, 'gateway.log'), 'utf8');
  const timesSaid = (text: string) => log().split(text).length - 1;

  test('there is no state app, and pm2 shows neither the URL of Redis nor a key', async () => {
    const names = new Set((await listProcesses(stack)).map(({ name }) => name));
    assert.deepEqual([...names].sort(), ['embedding', 'gateway', 'monitor', 'reranker', 'scheduler']);
    const shown = (await runPm2(stack, 'jlist')).output;
    for (const secret of ['REDIS_URL', redis.url, ...keyFile.keys]) assert.ok(!shown.includes(secret));
  });

  test('the four curls work', async () => {
    const { data } = (await runCurl(fourCurls.models, stack)) as { data: unknown[] };
    assert.equal(data.length, 2);
    const embedded = (await runCurl(fourCurls.embeddings, stack)) as { data: { embedding: number[] }[] };
    assert.equal(embedded.data[0]?.embedding.length, 512);
    const ranked = (await runCurl(fourCurls.rerank, stack)) as { results: { index: number }[] };
    assert.deepEqual(
      ranked.results.map(({ index }) => index),
      [0, 1],
    );
    const health = (await runCurl(fourCurls.health, stack)) as { status: string };
    assert.equal(health.status, 'ok');
  });

  test('the limit of a key is exact over the workers', async () => {
    const over = 50;
    const statuses = await statusesOf(nextKey(), requestsPerMinute + over);
    assert.deepEqual(statuses, { 200: requestsPerMinute, 429: over });
  });

  test('a request with a key of the file costs Redis one round trip at most', async () => {
    const key = nextKey();
    const commands: string[] = [];
    const monitor = await admin.monitor();
    monitor.on('monitor', (_, [command = ''], source) => {
      // A script's own commands cost no trip.
      if (source !== 'lua') commands.push(command.toLowerCase());
    });
    await statusesOf(key, 20);
    await admin.echo('the end');
    await waitFor('the last command', () => commands.includes('echo'));
    monitor.disconnect();
    const trips = commands.filter(name => !['info', 'ping', 'echo'].includes(name));
    assert.ok(trips.length <= 20, `${trips}`);
    assert.deepEqual(new Set(trips), new Set(['evalsha']));
  });

  test('a key made, changed and revoked through /admin/keys is so in every worker within 1 s', async () => {
    const admin = async (method: string, path: string, body?: unknown) => {
      const answer = await request(`${stack.url}/admin/keys${path}`, {
        method,
        headers: { authorization: `Bearer ${keyFile.keys[0]}`, 'content-type': 'application/json' },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      return (await answer.body.json()) as { id: string; key: string };
    };
    const allSay = async (key: string, status: number) => {
      const statuses = await statusesOf(key, 16);
      return statuses[status] === 16;
    };
    const told = { timeoutMs: 1000, intervalMs: 20 };
    const made = await admin('POST', '', { name: 'managed' });
    await waitFor('the new key', () => allSay(made.key, 200), told);
    await admin('PATCH', `/${made.id}`, { expires_at: '2020-01-01T00:00:00Z' });
    await waitFor('the change', () => allSay(made.key, 401), told);
    await admin('PATCH', `/${made.id}`, { expires_at: null });
    await waitFor('the change back', () => allSay(made.key, 200), told);
    await admin('DELETE', `/${made.id}`);
    await waitFor('the end', () => allSay(made.key, 401), told);
  });

  test('Redis holds hashes of the keys, and nowhere a key', async () => {
    const contents: string[] = [];
    for (const name of await admin.keys('*')) {
      const value = (await admin.type(name)) === 'hash' ? await admin.hgetall(name) : await admin.get(name);
      contents.push(`${name} ${JSON.stringify(value)}`);
    }
    const all = contents.join('\n');
    for (const key of keyFile.keys) {
      assert.ok(all.includes(hashKey(key)), 'published');
      assert.ok(!all.includes(key) && !all.includes(key.slice(3)), 'in clear');
    }
  });

  test('Redis killed under load fails no request; while it is away a key gets its limit at most, an unknown one nothing', async t => {
    const load = startLoad({
      url: stack.url,
      key: nextKey(),
      connections: 4,
      until: t.signal,
      body: id => ({ input: `about ${id}` }),
    });
    await load.answersMore(20);
    const before = timesSaid('goes on with what it knows');
    await redis.kill();
    await load.answersMore(100);
    const { failures } = await load.stop();
    assert.deepEqual(failures, []);
    const haveSaid = () => timesSaid('goes on with what it knows') >= before + workers;
    await waitFor('both workers to say so', haveSaid);

    const statuses = await statusesOf(nextKey(), requestsPerMinute + 50);
    assert.deepEqual(Object.keys(statuses), ['200', '503']);
    assert.ok((statuses[200] ?? 0) <= requestsPerMinute, `${statuses[200]} passed`);
    const unknown = await fetch(`${stack.url}/v1/models`, {
      headers: { authorization: `Bearer er-${'x'.repeat(40)}` },
    });
    assert.equal(unknown.status, 503);
    assert.ok(Number(unknown.headers.get('retry-after')) >= 1);
    const { error } = (await unknown.json()) as { error: { code: string } };
    assert.equal(error.code, 'state_unavailable');
  });

  test('when Redis is back, empty, the keys are there again and the limit is exact again', async () => {
    const before = timesSaid('are asked for again');
    await redis.start();
    await waitFor(
      'both workers to use it',
      () => timesSaid('are asked for again') >= before + workers,
      patient,
    );
    const isPublished = async () => (await admin.hexists('er:keys', hashKey(stack.key))) === 1;
    await waitFor('its keys in Redis', isPublished, patient);
    const unknown = await fetch(`${stack.url}/v1/models`, {
      headers: { authorization: `Bearer er-${'x'.repeat(40)}` },
    });
    assert.equal(unknown.status, 401);
    const statuses = await statusesOf(nextKey(), requestsPerMinute + 50);
    assert.deepEqual(statuses, { 200: requestsPerMinute, 429: 50 });
  });
});
