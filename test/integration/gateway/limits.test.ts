import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { type FakeModel, startFakeModel } from '../../kit/fake-model.ts';
import { type SmallSystem, startSmallSystem } from '../../kit/small-system.ts';
import { waitFor } from '../../kit/wait-for.ts';

let embedding: FakeModel;
let reranker: FakeModel;
let system: SmallSystem;

before(async () => {
  embedding = await startFakeModel({ role: 'embedding' });
  reranker = await startFakeModel({ role: 'reranker', servedName: 'Qwen3-Reranker-0.6B' });
  system = await startSmallSystem({
    embeddingUrls: [embedding.url],
    rerankerUrls: [reranker.url],
    env: { ER_LIMITS_REQUESTS_PER_MINUTE: '20' },
  });
});
after(async () => {
  await system?.stop();
  await embedding?.stop();
  await reranker?.stop();
});

const statusWith = async (key: string) =>
  (await fetch(`${system.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })).status;

test('keys added to the file work within 5 s, those removed stop within 5 s, and a broken edit takes nobody out', async () => {
  const made = readFileSync(system.keysFile, 'utf8');
  assert.equal(statSync(system.keysFile).mode & 0o777, 0o600);
  const added = `er-${'A1b2'.repeat(10)}`;
  const edited = JSON.parse(made) as { keys: unknown[] };
  edited.keys.push(added);
  writeFileSync(system.keysFile, JSON.stringify(edited));
  await waitFor('the new key', async () => (await statusWith(added)) === 200, { timeoutMs: 5000 });
  writeFileSync(system.keysFile, '{"keys": [');
  await waitFor('the complaint', () => system.output('gateway').includes('the keys read before stay'), {
    timeoutMs: 5000,
  });
  assert.equal(await statusWith(added), 200);
  assert.equal(readFileSync(system.keysFile, 'utf8'), '{"keys": [', 'a broken file is never overwritten');
  writeFileSync(system.keysFile, made);
  await waitFor('the end of the key', async () => (await statusWith(added)) === 401, { timeoutMs: 5000 });
});

test('a key gets exactly its requests a minute; the next is 429 with all headers and costs the models nothing', async () => {
  const key = `er-${'Z9y8'.repeat(10)}`;
  const file = JSON.parse(readFileSync(system.keysFile, 'utf8')) as { keys: unknown[] };
  file.keys.push({ key, name: 'second' });
  writeFileSync(system.keysFile, JSON.stringify(file));
  await waitFor('the key', () => system.output('gateway').split('API keys were read again').length >= 4);
  await embedding.forget();
  const answers = await Promise.all(
    Array.from({ length: 35 }, () =>
      fetch(`${system.url}/v1/embeddings?api_key=${key}`, {
        method: 'POST',
        body: JSON.stringify({ input: 'a' }),
        headers: { 'content-type': 'application/json' },
      }),
    ),
  );
  const refused = answers.filter(answer => answer.status === 429);
  assert.equal(answers.filter(answer => answer.status === 200).length, 20);
  assert.equal(refused.length, 15);
  assert.ok((await embedding.seen()).requests <= 20);
  const { headers } = refused[0] as Response;
  assert.equal(headers.get('x-ratelimit-limit-requests'), '20');
  assert.equal(headers.get('x-ratelimit-remaining-requests'), '0');
  assert.match(headers.get('x-ratelimit-reset-requests') ?? '', /^(\d+ms|\d+s|1m0s)$/);
  const retryAfter = Number(headers.get('retry-after'));
  assert.ok(retryAfter >= 1 && retryAfter <= 60, `retry-after ${retryAfter}`);
  assert.ok(Math.abs(Number(headers.get('retry-after-ms')) - retryAfter * 1000) <= 1000);
  const body = (await (refused[0] as Response).json()) as { error: { code: string } };
  assert.equal(body.error.code, 'rate_limit_exceeded');
});

test('administration needs an admin key, and works when the key has used up its requests', async () => {
  const user = `er-${'U5er'.repeat(10)}`;
  const file = JSON.parse(readFileSync(system.keysFile, 'utf8')) as { keys: unknown[] };
  file.keys.push(user);
  writeFileSync(system.keysFile, JSON.stringify(file));
  await waitFor('the key', async () => (await statusWith(user)) === 200);
  const forbidden = await fetch(`${system.url}/engines/embedding/v1/models`, {
    headers: { authorization: `Bearer ${user}` },
  });
  assert.equal(forbidden.status, 403);
  while ((await system.fetch('/v1/models')).status !== 429);
  const allowed = await system.fetch('/engines/embedding/v1/models');
  assert.equal(allowed.status, 200);
});
