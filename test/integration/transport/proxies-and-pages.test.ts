import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { searchAudit } from '@er-gateway/shared/audit/search-audit';
import { type Http2Client, openHttp2 } from '../../kit/http2-client.ts';
import { type SmallSystem, startSmallSystem } from '../../kit/small-system.ts';
import { waitFor } from '../../kit/wait-for.ts';

const page = 'https://app.example';
let system: SmallSystem;
let client: Http2Client;

before(async () => {
  system = await startSmallSystem({
    embeddingUrls: ['http://127.0.0.1:9'],
    rerankerUrls: ['http://127.0.0.1:9'],
    waitForModels: false,
    env: {
      ER_GATEWAY_TRUSTED_PROXIES: '127.0.0.0/8',
      ER_GATEWAY_CORS_ORIGINS: `${page},http://localhost:3000`,
      ER_GATEWAY_TLS_HSTS_SECONDS: '60',
    },
  });
  client = await openHttp2(system.url);
});
after(async () => {
  client?.close();
  await system?.stop();
});

const preflight = {
  'access-control-request-method': 'POST',
  'access-control-request-headers': 'authorization,content-type',
};

test('the audit trail names the caller behind a trusted proxy', async () => {
  await system.fetch('/v1/models', {
    headers: { 'x-forwarded-for': '203.0.113.7', 'x-request-id': 'behind-proxy' },
  });
  const line = await waitFor('the record', () =>
    readFileSync(join(system.folder, 'logs/audit/gateway-0.jsonl'), 'utf8')
      .split('\n')
      .find(record => record.includes('behind-proxy')),
  );
  assert.equal((JSON.parse(line) as { address: string }).address, '203.0.113.7');
});

test('Strict-Transport-Security is sent to who came over HTTPS, by the word of a trusted proxy too', async () => {
  const over = async (proto: string) =>
    (await fetch(`${system.url}/health/live`, { headers: { 'x-forwarded-proto': proto } })).headers.get(
      'strict-transport-security',
    );
  assert.equal(await over('https'), 'max-age=60');
  assert.equal(await over('http'), null);
});

test('a page of a listed origin may ask before it has a key, and read every answer, refusals too', async () => {
  const asked = await fetch(`${system.url}/v1/embeddings`, {
    method: 'OPTIONS',
    headers: { origin: page, ...preflight },
  });
  assert.equal(asked.status, 204);
  assert.equal(asked.headers.get('access-control-allow-origin'), page);
  assert.match(asked.headers.get('access-control-allow-headers') ?? '', /authorization,content-type/);
  assert.equal(asked.headers.get('access-control-allow-credentials'), null);
  const over2 = await client.send({
    path: '/v1/embeddings',
    method: 'OPTIONS',
    headers: { origin: page, ...preflight },
  });
  assert.equal(over2.status, 204);
  assert.equal(over2.headers['access-control-allow-origin'], page);
  const lines = await searchAudit(join(system.folder, 'logs/audit'), { route: 'preflight', limit: 10 });
  assert.deepEqual(
    lines.map(({ status, request_id }) => [status, request_id]),
    [asked.headers.get('x-request-id'), over2.headers['x-request-id']].map(id => [204, id]),
  );

  const refused = await fetch(`${system.url}/v1/models`, { headers: { origin: page } });
  assert.equal(refused.status, 401);
  assert.equal(refused.headers.get('access-control-allow-origin'), page);
  const answered = await system.fetch('/v1/models', { headers: { origin: page } });
  assert.equal(answered.status, 200);
  assert.match(
    answered.headers.get('access-control-expose-headers') ?? '',
    /x-request-id.*x-ratelimit-reset-tokens/,
  );
  assert.match(answered.headers.get('vary') ?? '', /Origin/i);
});

test('a page of another origin gets no permission', async () => {
  for (const origin of ['https://evil.example', 'https://app.example.evil', 'null', 'http://app.example']) {
    const asked = await fetch(`${system.url}/v1/models`, {
      method: 'OPTIONS',
      headers: { origin, ...preflight },
    });
    assert.equal(asked.headers.get('access-control-allow-origin'), null, origin);
    const answered = await system.fetch('/v1/models', { headers: { origin } });
    assert.equal(answered.headers.get('access-control-allow-origin'), null, origin);
  }
});

test('an idle connection outlives those of common proxies', async () => {
  const { headers } = await fetch(`${system.url}/health/live`);
  const [, seconds = '0'] = /timeout=(\d+)/.exec(headers.get('keep-alive') ?? '') ?? [];
  assert.ok(Number(seconds) > 60, `keep-alive: ${headers.get('keep-alive')}`);
});
