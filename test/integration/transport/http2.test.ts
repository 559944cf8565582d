import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { constants } from 'node:http2';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { type FakeModel, startFakeModel } from '../../kit/fake-model.ts';
import { type Http2Client, openHttp2 } from '../../kit/http2-client.ts';
import { type SmallSystem, startSmallSystem } from '../../kit/small-system.ts';
import { waitFor } from '../../kit/wait-for.ts';

let embedding: FakeModel;
let reranker: FakeModel;
let system: SmallSystem;
const opened: Http2Client[] = [];

before(async () => {
  embedding = await startFakeModel({ role: 'embedding' });
  reranker = await startFakeModel({ role: 'reranker', servedName: 'Qwen3-Reranker-0.6B' });
  system = await startSmallSystem({
    embeddingUrls: [embedding.url],
    rerankerUrls: [reranker.url],
    env: { ER_GATEWAY_MAX_CONCURRENT_STREAMS: '20' },
  });
});
afterEach(async () => {
  for (const client of opened.splice(0)) client.close();
  await embedding.fault({ mode: 'none' });
  await waitFor('the models', async () => (await fetch(`${system.url}/health`)).ok);
});
after(async () => {
  await system?.stop();
  await embedding?.stop();
  await reranker?.stop();
});

const open = async () => {
  const client = await openHttp2(system.url);
  opened.push(client);
  return client;
};
const headers = () => ({ authorization: `Bearer ${system.key}`, 'content-type': 'application/json' });
let texts = 0;
const freshBody = () => JSON.stringify({ input: `text number ${texts++}` });
const auditLines = () =>
  readFileSync(join(system.folder, 'logs/audit/gateway-0.jsonl'), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map(
      line =>
        JSON.parse(line) as { request_id: string; status: number; code: string | null; address: string },
    );
const recordOf = (id: string) =>
  waitFor(`the record of ${id}`, () => auditLines().find(({ request_id: other }) => other === id));

test('an answer that is whole with its head has its record when it arrives', async () => {
  const client = await open();
  for (let number = 0; number < 50; number++) {
    const id = `head-${number}`;
    const { status } = await client.send({
      path: number % 2 ? '/v1/models' : '/nowhere',
      method: 'HEAD',
      headers: { ...headers(), 'x-request-id': id },
    });
    assert.deepEqual(
      auditLines()
        .filter(({ request_id: other }) => other === id)
        .map(line => line.status),
      [status],
    );
  }
});

test('each route answers over HTTP/2 what it answers over HTTP/1.1', async () => {
  const client = await open();
  const calls: [method: string, path: string, body?: unknown][] = [
    ['GET', '/health/live'],
    ['GET', '/v1/models'],
    ['GET', '/v1/models/Qwen3-Embedding-0.6B'],
    ['GET', '/v1/models/none'],
    ['GET', '/openapi.json'],
    ['GET', '/info'],
    ['GET', '/nowhere'],
    ['GET', '/v1/embeddings'],
    ['POST', '/v1/embeddings', { input: ['one', 'two'] }],
    ['POST', '/v1/embeddings', { input: Array.from({ length: 64 }, (_, index) => `text ${index}`) }],
    ['POST', '/v1/embeddings', { input: '' }],
    ['POST', '/v2/embed', { model: 'Qwen3-Embedding-0.6B', texts: ['a'], input_type: 'search_query' }],
    ['POST', '/embed', { inputs: 'a' }],
    ['POST', '/v1/rerank', { query: 'q', documents: ['a', 'b'] }],
    ['POST', '/score', { text_1: 'a', text_2: 'b' }],
    ['POST', '/tokenize', { prompt: 'a b c' }],
    ['GET', '/engines/embedding/version'],
    ['GET', '/engines/embedding/v1/models'],
    ['POST', '/engines/embedding/v1/embeddings', { model: 'Qwen3-Embedding-0.6B', input: 'a' }],
  ];
  for (const [method, path, body] of calls) {
    const init = { method, headers: headers(), ...(body !== undefined && { body: JSON.stringify(body) }) };
    const over1 = await fetch(`${system.url}${path}`, init);
    const over2 = await client.send({ ...init, path });
    const what = `${method} ${path}`;
    assert.equal(over2.status, over1.status, what);
    const [text1, text2] = [await over1.text(), over2.text].map(text =>
      text.replace(/"(id|created|request_id)":("[^"]*"|\d+)/g, '"$1":0'),
    );
    assert.equal(text2, text1, what);
    for (const name of ['content-type', 'x-er-engine', 'x-ratelimit-limit-requests', 'allow']) {
      assert.equal(over2.headers[name] ?? null, over1.headers.get(name), `${what}: ${name}`);
    }
    for (const name of ['connection', 'keep-alive', 'transfer-encoding']) {
      assert.equal(over2.headers[name], undefined, `${what}: ${name}`);
    }
  }
});

test('a proxied target that is away answers over HTTP/2 as over HTTP/1.1', async () => {
  const client = await open();
  const away = await client.send({ path: '/admin/status', headers: headers() });
  assert.equal(away.status, 503);
  assert.equal(JSON.parse(away.text).error.code, 'no_available_upstream');
});

test('many requests share one connection, and no more than the limit are open at once', async () => {
  const client = await open();
  assert.equal(client.session.remoteSettings.maxConcurrentStreams, 20);
  const answers = await Promise.all(
    Array.from({ length: 200 }, () =>
      client.send({ path: '/v1/embeddings', method: 'POST', headers: headers(), body: freshBody() }),
    ),
  );
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
});

test('a request without a key is refused before its body comes, and the connection lives on', async () => {
  const client = await open();
  const stream = client.begin({ ':path': '/v1/embeddings', ':method': 'POST' });
  stream.write('{"input": ');
  const status = await new Promise(resolve => stream.on('response', got => resolve(got[':status'])));
  assert.equal(status, 401);
  stream.resume();
  await waitFor('the end of the stream', () => stream.closed);
  assert.equal((await client.send({ path: '/health/live' })).status, 200);
});

test('a body over the limit is refused, and the connection lives on', async () => {
  const client = await open();
  const body = Buffer.alloc(34_000_000, 'a');
  const refused = await client.send({ path: '/v1/embeddings', method: 'POST', headers: headers(), body });
  assert.equal(refused.status, 413);
  assert.equal((await client.send({ path: '/health/live' })).status, 200);
});

test('100-continue is said when the key is known, and not to others', async () => {
  const client = await open();
  const begin = (authorization: string) => {
    const stream = client.begin({
      ':path': '/v1/embeddings',
      ':method': 'POST',
      'content-type': 'application/json',
      expect: '100-continue',
      authorization,
    });
    const seen: string[] = [];
    stream.on('continue', () => {
      seen.push('continue');
      stream.end(freshBody());
    });
    stream.on('response', got => seen.push(String(got[':status'])));
    stream.resume();
    return new Promise(resolve => stream.on('close', () => resolve(seen)));
  };
  assert.deepEqual(await begin(`Bearer ${system.key}`), ['continue', '200']);
  assert.deepEqual(await begin('Bearer wrong'), ['401']);
});

test('a stream that is reset before the first byte ends its call to the model server, and is recorded as 499', async () => {
  const client = await open();
  await embedding.fault({ mode: 'hang' });
  const stream = client.begin({
    ':path': '/v1/embeddings',
    ':method': 'POST',
    'x-request-id': 'reset-before-first-byte',
    ...headers(),
  });
  stream.end(freshBody());
  await waitFor('the call at the model server', async () => (await embedding.seen()).inFlight > 0);
  stream.close(constants.NGHTTP2_CANCEL);
  await waitFor('the end of the call', async () => (await embedding.seen()).inFlight === 0);
  const record = await recordOf('reset-before-first-byte');
  assert.equal(record.status, 499);
  assert.equal(record.code, 'client_closed_request');
});

test('a proxied request that is reset before the first byte ends at its target', async () => {
  const client = await open();
  await embedding.fault({ mode: 'hang', path: '/v1/embeddings' });
  await embedding.forget();
  const stream = client.begin({
    ':path': '/engines/embedding/v1/embeddings',
    ':method': 'POST',
    'x-request-id': 'proxied-reset',
    ...headers(),
  });
  stream.end(JSON.stringify({ model: 'Qwen3-Embedding-0.6B', input: 'a' }));
  await waitFor('the call at the model server', async () => (await embedding.seen()).inFlight > 0);
  stream.close(constants.NGHTTP2_CANCEL);
  await waitFor('the end of the call', async () => (await embedding.seen()).inFlight === 0);
  assert.equal((await recordOf('proxied-reset')).status, 499);
});

test('a connection that is cut ends all its calls, and a whole answer is recorded as such', async () => {
  const client = await open();
  const answered = await client.send({
    path: '/v1/embeddings',
    method: 'POST',
    headers: { ...headers(), 'x-request-id': 'answered-whole' },
    body: freshBody(),
  });
  assert.equal(answered.status, 200);
  assert.equal((await recordOf('answered-whole')).status, 200);
  await embedding.fault({ mode: 'hang' });
  for (let number = 0; number < 5; number++) {
    client
      .begin({ ':path': '/v1/embeddings', ':method': 'POST', 'x-request-id': `cut-${number}`, ...headers() })
      .end(freshBody());
  }
  await waitFor('a call at the model server', async () => (await embedding.seen()).inFlight > 0);
  client.close();
  await waitFor('the end of the calls', async () => (await embedding.seen()).inFlight === 0);
  for (let number = 0; number < 5; number++) assert.equal((await recordOf(`cut-${number}`)).status, 499);
});

test('HTTP/1.1 goes on as before on the same port, one byte at a time too', async () => {
  const { connect } = await import('node:net');
  const { hostname, port } = new URL(system.url);
  const socket = connect(Number(port), hostname);
  const chunks: Buffer[] = [];
  socket.on('data', chunk => chunks.push(chunk));
  const request = `PUT /health/live HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\nGET /health/live HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`;
  try {
    for (const byte of request) {
      await new Promise(resolve => socket.write(byte, resolve));
      await new Promise(resolve => setImmediate(resolve));
    }
    await waitFor('the end', () => socket.readableEnded);
  } finally {
    socket.destroy();
  }
  assert.deepEqual(
    Buffer.concat(chunks)
      .toString()
      .match(/HTTP\/1\.1 \d+/g),
    ['HTTP/1.1 401', 'HTTP/1.1 200'],
  );
});

test('a worker that stops tells its HTTP/2 clients, answers what they asked, and ends', async () => {
  const client = await open();
  await embedding.fault({ mode: 'slow', ms: 1500 });
  const goaways: number[] = [];
  client.session.on('goaway', code => goaways.push(code));
  await embedding.forget();
  const answer = client.send({
    path: '/v1/embeddings',
    method: 'POST',
    headers: headers(),
    body: freshBody(),
  });
  await waitFor('the call at the model server', async () => (await embedding.seen()).inFlight > 0);
  const idle = await open();
  await system.terminate('gateway');
  assert.equal((await answer).status, 200);
  assert.equal(goaways[0], constants.NGHTTP2_NO_ERROR);
  assert.ok(idle.session.closed);
  system.start('gateway');
});
