import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { searchAudit } from '@er-gateway/shared/audit/search-audit';
import { resolveConfig } from '@er-gateway/shared/config/effective-config';
import express from 'express';
import { createApp } from '../../../apps/gateway/src/app.ts';
import { createCallerView } from '../../../apps/gateway/src/request/caller-address.ts';
import { type Http2Client, openHttp2 } from '../../kit/http2-client.ts';
import { type SmallSystem, startSmallSystem } from '../../kit/small-system.ts';
import { projectRoot } from '../../kit/stack.ts';
import { waitFor } from '../../kit/wait-for.ts';

/**
 * Every route of the gateway and who may use it. A route that is not here fails the test below: whoever adds one decides
 * here who may use it.
 */
const access: Record<string, 'public' | 'key' | 'admin'> = {
  'GET /health': 'public',
  'GET /health/ready': 'public',
  'GET /health/live': 'public',
  'POST /v1/embeddings': 'key',
  'POST /v1/embed': 'key',
  'POST /v2/embed': 'key',
  'POST /embed': 'key',
  'POST /v1/rerank': 'key',
  'POST /v2/rerank': 'key',
  'POST /rerank': 'key',
  'POST /score': 'key',
  'POST /v1/score': 'key',
  'POST /tokenize': 'key',
  'POST /detokenize': 'key',
  'GET /v1/models': 'key',
  'GET /v1/models/:model': 'key',
  'POST /v1/feedback': 'key',
  'GET /info': 'key',
  'GET /openapi.json': 'key',
  'GET /admin/keys': 'admin',
  'POST /admin/keys': 'admin',
  'POST /admin/keys/import': 'admin',
  'GET /admin/keys/:id': 'admin',
  'PATCH /admin/keys/:id': 'admin',
  'DELETE /admin/keys/:id': 'admin',
  'POST /admin/keys/:id/rotate': 'admin',
  'ALL /admin/keys': 'admin',
  'GET /dashboard/assets/*': 'public',
  'GET /dashboard': 'admin',
  'GET /dashboard/events': 'admin',
  'GET /dashboard/keys': 'admin',
  'GET /dashboard/session': 'admin',
  'POST /dashboard/session': 'admin',
  'DELETE /dashboard/session': 'public',
  'ALL /metrics': 'admin',
  'ALL /dashboard': 'admin',
  'ALL /admin': 'admin',
  'ALL /engines/embedding': 'admin',
  'ALL /engines/reranker': 'admin',
  'ALL *': 'key',
};

const userKey = `er-${'U5er'.repeat(10)}`;
let system: SmallSystem;
let client: Http2Client;

before(async () => {
  system = await startSmallSystem({
    embeddingUrls: ['http://127.0.0.1:9'],
    rerankerUrls: ['http://127.0.0.1:9'],
    waitForModels: false,
  });
  const file = JSON.parse(readFileSync(system.keysFile, 'utf8')) as { keys: unknown[] };
  file.keys.push({ key: userKey, name: 'user', role: 'user' });
  writeFileSync(system.keysFile, JSON.stringify(file));
  await waitFor('the key of a user', async () => (await statusOver1('GET', '/v1/models', userKey)) === 200);
  client = await openHttp2(system.url);
});
after(async () => {
  client?.close();
  await system?.stop();
});

const headersWith = (key: string | null): Record<string, string> =>
  key === null ? {} : { authorization: `Bearer ${key}` };
const statusOver1 = async (method: string, path: string, key: string | null) =>
  (await fetch(`${system.url}${path}`, { method, headers: headersWith(key) })).status;
const statusOver2 = async (method: string, path: string, key: string | null) =>
  (await client.send({ path, method, headers: headersWith(key) })).status;

/** The routes as the application registers them, `METHOD path`. */
function registeredRoutes(): string[] {
  const proto = express.application as unknown as Record<'route' | 'use', (...args: unknown[]) => unknown>;
  const { route: makeRoute, use } = proto;
  const routes: { path: unknown; route: { methods: Record<string, boolean> } }[] = [];
  const mounts: unknown[] = [];
  proto.route = function (this: unknown, path: unknown) {
    const route = makeRoute.call(this, path);
    routes.push({ path, route: route as { methods: Record<string, boolean> } });
    return route;
  };
  proto.use = function (this: unknown, first: unknown, ...rest: unknown[]) {
    mounts.push(...[first].flat());
    return use.call(this, first, ...rest);
  };
  try {
    const config = resolveConfig(projectRoot, {
      ER_ENGINE: 'external',
      ER_MODELS_EMBEDDING_URLS: 'http://127.0.0.1:9',
      ER_MODELS_RERANKER_URLS: 'http://127.0.0.1:9',
    });
    const dependencies = { config, scheduler: { models: null }, callers: createCallerView([]) };
    createApp(dependencies as unknown as Parameters<typeof createApp>[0], () => new AbortController().signal);
  } finally {
    Object.assign(proto, { route: makeRoute, use });
  }
  return [
    ...routes.flatMap(({ path, route }) =>
      [path]
        .flat()
        .flatMap(one => Object.keys(route.methods).map(method => `${method.toUpperCase()} ${nameOf(one)}`)),
    ),
    ...mounts.map(path => `ALL ${typeof path === 'string' ? path : '*'}`),
  ];
}

const nameOf = (path: unknown) =>
  path instanceof RegExp && path.test('/dashboard/assets/page.js') ? '/dashboard/assets/*' : String(path);

test('each route of the application is in the table, and the table has no other', () => {
  assert.deepEqual(registeredRoutes().toSorted(), Object.keys(access).toSorted());
});

for (const [route, needed] of Object.entries(access)) {
  test(`${route} is for: ${needed}`, async () => {
    const [method = '', pattern = ''] = route.split(' ');
    const path = pattern
      .replace(':model', 'Qwen3-Embedding-0.6B')
      .replace(':id', 'none')
      .replace('assets/*', 'assets/page.js')
      .replace('*', '/nowhere');
    const paths = method === 'ALL' && needed === 'admin' ? [path, `${path}/`, `${path}/below`] : [path];
    const verbs = method === 'ALL' ? ['GET', 'POST', 'DELETE'] : [method];
    for (const statusOf of [statusOver1, statusOver2]) {
      for (const where of paths) {
        for (const verb of verbs) {
          const what = `${verb} ${where}`;
          const [none, wrong, user, admin] = [
            await statusOf(verb, where, null),
            await statusOf(verb, where, `er-${'x'.repeat(40)}`),
            await statusOf(verb, where, userKey),
            await statusOf(verb, where, system.key),
          ];
          if (needed === 'public') {
            for (const status of [none, wrong, user, admin])
              assert.ok(status !== 401 && status !== 403, what);
            continue;
          }
          assert.deepEqual([none, wrong], [401, 401], what);
          if (needed === 'admin') assert.equal(user, 403, what);
          else assert.ok(user !== 401 && user !== 403, what);
          assert.ok(admin !== 401 && admin !== 403, what);
        }
      }
    }
  });
}

test('a key is asked for whatever method, case or spelling of a path is tried', async () => {
  for (const path of [
    '/V1/models',
    '/v1/models/',
    '//v1/models',
    '/v1/./models',
    '/%761/models',
    '/health/../metrics',
    '/health/x',
    '/HEALTH',
    '/metrics%00',
    '/metrics;a',
    '/dashboard%2f..',
  ]) {
    for (const statusOf of [statusOver1, statusOver2])
      assert.equal(await statusOf('GET', path, null), 401, path);
  }
  for (const method of ['PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD', 'PROPFIND'])
    for (const statusOf of [statusOver1, statusOver2])
      assert.equal(await statusOf(method, '/v1/models', null), 401, method);
});

test('a target that cannot be read is refused as others are: 401 without a key, 400 with one, and a line in the trail', async () => {
  const { hostname, port } = new URL(system.url);
  const overRaw = (target: string, key: string | null) =>
    new Promise<[status: number, text: string]>((resolve, reject) => {
      const options = { hostname, port, path: target, headers: headersWith(key), agent: false };
      get(options, async answer => resolve([answer.statusCode ?? 0, await text(answer)])).on('error', reject);
    });
  for (const target of ['/v1/models/%zz', '/admin/keys/%e0%a4%a', 'http://[/']) {
    for (const [key, status] of [
      [null, 401],
      [userKey, 400],
    ] as const) {
      const [over1, said] = await overRaw(target, key);
      assert.equal(over1, status, target);
      assert.deepEqual(Object.keys(JSON.parse(said)), ['error'], said);
      // Of HTTP/2 nghttp2 itself refuses a target that is no path.
      if (target.startsWith('/')) assert.equal(await statusOver2('GET', target, key), status, target);
    }
  }
  assert.doesNotMatch(system.output('gateway'), /URIError|at .*\(/);
  const lines = await searchAudit(join(system.folder, 'logs/audit'), {
    route: 'unknown',
    status: 400,
    limit: 100,
  });
  assert.equal(lines.length, 5);
});
