import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { GatewayStatus } from '@er-gateway/shared/gateway-status';
import { hashKey } from '@er-gateway/shared/keys/hash-key';
import type { KeyView } from '@er-gateway/shared/keys/key-grants';
import { type FakeModel, startFakeModel } from '../../kit/fake-model.ts';
import { processStatuses } from '../../kit/process-status.ts';
import { type SmallSystem, startSmallSystem } from '../../kit/small-system.ts';
import { waitFor } from '../../kit/wait-for.ts';

type FreshKey = KeyView & { key: string };

let models: FakeModel[] = [];
let system: SmallSystem;

before(async () => {
  models = await Promise.all([
    startFakeModel({ role: 'embedding' }),
    startFakeModel({ role: 'reranker', servedName: 'Qwen3-Reranker-0.6B' }),
  ]);
  const [embedding, reranker] = models.map(({ url }) => url);
  system = await startSmallSystem({ embeddingUrls: [embedding ?? ''], rerankerUrls: [reranker ?? ''] });
});
after(async () => {
  await system?.stop();
  for (const model of models) await model.stop();
});

const admin = async <Body = unknown>(method: string, path: string, body?: unknown) => {
  const answer = await system.fetch(`/admin/keys${path}`, {
    method,
    ...(body !== undefined && {
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    }),
  });
  return { status: answer.status, body: (await answer.json()) as Body };
};
const create = async (settings: Record<string, unknown>) => {
  const { status, body } = await admin<FreshKey>('POST', '', settings);
  assert.equal(status, 201, JSON.stringify(body));
  return body;
};
const ask = async (key: string, path = '/v1/embeddings', body: unknown = { input: 'a text' }) => {
  const answer = await fetch(`${system.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const { error } = (await answer.json()) as { error?: { code: string; message: string; param: string } };
  return { status: answer.status, code: error?.code, message: error?.message ?? '', param: error?.param };
};
const auditText = () => readFileSync(join(system.folder, 'logs/audit/gateway-0.jsonl'), 'utf8');

test('a key is made, shown once, listed without its text or hash, and ends at once when revoked', async () => {
  const made = await create({ name: 'team search', weight: 2 });
  assert.match(made.key, /^er-[0-9A-Za-z]{40}$/);
  assert.equal((await ask(made.key)).status, 200);
  const { body: list } = await admin<{ keys: KeyView[] }>('GET', '');
  assert.deepEqual(list.keys.map(({ name, source }) => `${name} ${source}`).sort(), [
    'default file',
    'team search managed',
  ]);
  const text = JSON.stringify([list, await admin('GET', `/${made.id}`)]);
  for (const secret of [made.key, hashKey(made.key), hashKey(made.key).slice(0, 16), system.key])
    assert.ok(!text.includes(secret));
  assert.equal((await admin('DELETE', `/${made.id}`)).status, 200);
  assert.equal((await ask(made.key)).code, 'invalid_api_key');
  assert.equal((await admin('GET', `/${made.id}`)).status, 404);
});

test('grants are held: models, requests a minute, expiry, addresses, role', async () => {
  const ranker = await create({ name: 'ranker', models: ['reranker'] });
  const refused = await ask(ranker.key);
  assert.deepEqual([refused.status, refused.code, refused.param], [403, 'permission_denied', 'model']);
  assert.equal((await ask(ranker.key, '/v1/rerank', { query: 'q', documents: ['d'] })).status, 200);

  const few = await create({ name: 'few', requests_per_minute: 3 });
  const statuses = [];
  for (let time = 0; time < 5; time++) statuses.push((await ask(few.key)).status);
  assert.deepEqual(statuses, [200, 200, 200, 429, 429]);

  const late = await create({ name: 'late', expires_at: '2020-01-01T00:00:00Z' });
  assert.deepEqual([late.is_expired, (await ask(late.key)).code], [true, 'invalid_api_key']);

  const elsewhere = await create({ name: 'elsewhere', allowed_addresses: ['10.0.0.0/8', '2001:db8::/32'] });
  assert.deepEqual((await ask(elsewhere.key)).code, 'permission_denied');
  const local = await create({ name: 'local', allowed_addresses: ['127.0.0.0/8', '::1'] });
  assert.equal((await ask(local.key)).status, 200);

  const asUser = await fetch(`${system.url}/admin/keys`, {
    headers: { authorization: `Bearer ${local.key}` },
  });
  assert.equal(asUser.status, 403);
  await asUser.arrayBuffer();
});

test('a change counts at once, null takes a grant back, and what is not understood is named', async () => {
  const made = await create({ name: 'changing', models: ['reranker'] });
  const changed = await admin<KeyView>('PATCH', `/${made.id}`, { name: 'changed', models: null, weight: 3 });
  assert.deepEqual([changed.body.name, changed.body.models, changed.body.weight], ['changed', undefined, 3]);
  assert.equal((await ask(made.key)).status, 200);
  for (const [settings, param] of [
    [{ name: 'x', models: ['gpt-4'] }, 'models[0]'],
    [{ name: 'x', allowed_addresses: ['10.0.0.0/33'] }, 'allowed_addresses[0]'],
    [{ name: 'x', requests_per_minute: 0 }, 'requests_per_minute'],
    [{ name: 'x\ny' }, 'name'],
    [{ name: 'x\u2028y' }, 'name'],
    [{}, 'name'],
  ] as const) {
    const { status, body } = await admin<{ error: { param: string } }>('POST', '', settings);
    assert.deepEqual([status, body.error.param], [400, param]);
  }
});

test('after a rotation both texts are one key for the grace period, which another rotation does not shorten', async () => {
  const made = await create({ name: 'rotating', requests_per_minute: 4 });
  const { body: second } = await admin<FreshKey>('POST', `/${made.id}/rotate`, { grace_seconds: 600 });
  assert.equal(second.id, made.id);
  assert.ok(Date.parse(second.old_key_valid_until ?? '') > Date.now());
  const statuses = [];
  for (const key of [made.key, second.key, made.key, second.key, made.key, second.key])
    statuses.push((await ask(key)).status);
  assert.deepEqual(statuses, [200, 200, 200, 200, 429, 429], 'they share one limit');
  await admin('PATCH', `/${made.id}`, { requests_per_minute: null });
  const { body: third } = await admin<FreshKey>('POST', `/${made.id}/rotate`, { grace_seconds: 1 });
  assert.equal((await ask(third.key)).status, 200);
  await waitFor('the end of the grace', async () => (await ask(second.key)).status === 401);
  assert.deepEqual([(await ask(made.key)).status, (await ask(third.key)).status], [200, 200]);
  const { body: fourth } = await admin<FreshKey>('POST', `/${made.id}/rotate`, { grace_seconds: 0 });
  assert.equal(fourth.old_key_valid_until, null);
  assert.deepEqual(
    [(await ask(made.key)).status, (await ask(third.key)).status, (await ask(fourth.key)).status],
    [401, 401, 200],
  );
});

test('keys are imported by their hashes, those that are known are skipped', async () => {
  const [one, two] = [`er-${'i1'.repeat(20)}`, `er-${'i2'.repeat(20)}`];
  const keys = [
    { key_sha256: hashKey(one), name: 'imported 1' },
    { key_sha256: hashKey(two), name: 'imported 2', models: ['embedding'] },
    { key_sha256: hashKey(system.key), name: 'the file has it' },
  ];
  const { body } = await admin<{ imported: KeyView[]; skipped: number }>('POST', '/import', { keys });
  assert.deepEqual([body.imported.map(({ name }) => name), body.skipped], [['imported 1', 'imported 2'], 1]);
  assert.deepEqual([(await ask(one)).status, (await ask(two)).status], [200, 200]);
});

test('keys of the key file are shown and not changed; their entries grant the same things', async () => {
  const { body } = await admin<{ keys: KeyView[] }>('GET', '');
  const bootstrap = body.keys.find(({ source }) => source === 'file');
  const refused = await admin<{ error: { message: string } }>('DELETE', `/${bootstrap?.id}`);
  assert.equal(refused.status, 403);
  assert.match(refused.body.error.message, /er_api_keys\.json/);

  const [ranker, wrong] = [`er-${'f1'.repeat(20)}`, `er-${'f2'.repeat(20)}`];
  const file = JSON.parse(readFileSync(system.keysFile, 'utf8')) as { keys: unknown[] };
  file.keys.push({ key_sha256: hashKey(ranker), name: 'hashed in the file', models: ['reranker'] });
  file.keys.push({ key: wrong, name: 'wrong', allowed_addresses: ['nowhere'] });
  writeFileSync(system.keysFile, JSON.stringify(file));
  await waitFor('the edit', async () => (await ask(ranker)).status === 403);
  assert.equal((await ask(wrong)).status, 401, 'a restriction that cannot be read is no open door');
  assert.match(system.output('gateway'), /keys\[2\]: allowed_addresses/);
});

test('administration is in the audit trail, and no key text or hash is in it or in a log', async () => {
  const made = await create({ name: 'audited', weight: 5 });
  await admin('POST', `/${made.id}/rotate`);
  await (await fetch(`${system.url}/v1/models?api_key=${made.key}`)).arrayBuffer();
  await (await fetch(`${system.url}/v1/models?api_key=${made.key}x`)).arrayBuffer();
  await admin('DELETE', `/${made.id}`);
  const changes = () =>
    auditText()
      .split('\n')
      .filter(line => line.includes(made.id) && line.includes('"change"'))
      .map(line => JSON.parse(line) as { change: { action: string; settings?: unknown }; key_name: string });
  await waitFor('three lines', () => changes().length === 3);
  assert.deepEqual(
    changes().map(({ change, key_name }) => `${change.action} by ${key_name}`),
    ['create by default', 'rotate by default', 'revoke by default'],
  );
  assert.deepEqual(changes()[0]?.change.settings, { name: 'audited', role: 'user', weight: 5 });
  const logged = auditText() + system.output('gateway') + system.output('state') + system.output('scheduler');
  for (const secret of [made.key, hashKey(made.key), 'api_key=']) assert.ok(!logged.includes(secret));
});

test('a change whose maker left, or was told that nobody answered, is in the audit trail all the same', async () => {
  const changesOf = (name: string) =>
    auditText()
      .split('\n')
      .filter(line => line.includes(`"settings":{"name":"${name}"`))
      .map(line => JSON.parse(line) as { status?: number; change: { applied?: string } })
      .map(({ status, change }) => [status, change.applied]);
  system.signal('state', 'SIGSTOP');
  assert.equal((await admin('POST', '', { name: 'unanswered' })).status, 503);
  assert.deepEqual(changesOf('unanswered'), [[503, 'unknown']]);
  const leave = new AbortController();
  const asked = fetch(`${system.url}/admin/keys`, {
    method: 'POST',
    signal: leave.signal,
    headers: { authorization: `Bearer ${system.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'left alone' }),
  });
  const refused = assert.rejects(asked);
  // The worker goes on by itself since the first call, and this one waits for the store alone, for 2 s.
  const soon = { intervalMs: 5 };
  const isUnderWay = async () => {
    const [worker] = await processStatuses<GatewayStatus>(join(system.folder, 'run'), 'gateway');
    return worker?.status.inFlight === 1;
  };
  await waitFor('the change to be under way', isUnderWay, soon);
  leave.abort();
  await refused;
  await waitFor('its line', () => changesOf('left alone').length === 1, soon);
  system.signal('state', 'SIGCONT');
  await waitFor('what became of it', () => changesOf('left alone').length === 2);
  assert.deepEqual(changesOf('left alone'), [
    [499, 'unknown'],
    [undefined, undefined],
  ]);
});
