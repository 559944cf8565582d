import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { constants } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { type FakeModel, startFakeModel } from '../../kit/fake-model.ts';
import { type Http2Client, openHttp2 } from '../../kit/http2-client.ts';
import { type SmallSystem, startSmallSystem } from '../../kit/small-system.ts';
import { waitFor } from '../../kit/wait-for.ts';

let embedding: FakeModel;
let reranker: FakeModel;
let system: SmallSystem;
const sockets: Socket[] = [];
const clients: Http2Client[] = [];

before(async () => {
  embedding = await startFakeModel({ role: 'embedding' });
  reranker = await startFakeModel({ role: 'reranker', servedName: 'Qwen3-Reranker-0.6B' });
  system = await startSmallSystem({
    embeddingUrls: [embedding.url],
    rerankerUrls: [reranker.url],
    env: {
      ER_GATEWAY_HEADER_TIMEOUT_SECONDS: '1',
      ER_GATEWAY_BODY_TIMEOUT_SECONDS: '1',
      ER_GATEWAY_SEND_TIMEOUT_SECONDS: '2',
      ER_GATEWAY_KEEP_ALIVE_SECONDS: '2',
      ER_GATEWAY_MAX_CONCURRENT_STREAMS: '20',
    },
  });
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const client of clients.splice(0)) client.close();
  assert.equal((await fetch(`${system.url}/health/live`)).status, 200, 'the worker lives');
});
after(async () => {
  await system?.stop();
  await embedding?.stop();
  await reranker?.stop();
});

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const frame = (type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)) => {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
};
const settings = frame(4, 0, 0);
/** HPACK: POST, http, `:path` /v1/embeddings and `:authority` a as literals that are not indexed. */
const headerBlock = Buffer.concat([
  Buffer.from([0x83, 0x86, 0x04, 14]),
  Buffer.from('/v1/embeddings'),
  Buffer.from([0x01, 1]),
  Buffer.from('a'),
]);

/** A connection of which the server's bytes are kept. */
async function dial(): Promise<{ socket: Socket; got: () => Buffer }> {
  const { hostname, port } = new URL(system.url);
  const socket = connect(Number(port), hostname);
  sockets.push(socket);
  const chunks: Buffer[] = [];
  socket.on('data', chunk => chunks.push(chunk));
  socket.on('error', () => {});
  await once(socket, 'connect');
  return { socket, got: () => Buffer.concat(chunks) };
}
const closes = (socket: Socket, timeoutMs = 10_000) =>
  waitFor('the server to close the connection', () => socket.closed || socket.readableEnded, { timeoutMs });
const linesOf = (wanted: Record<string, unknown>) =>
  readFileSync(join(system.folder, 'logs/audit/gateway-0.jsonl'), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line) as Record<string, unknown>)
    .filter(line => Object.entries(wanted).every(([name, value]) => line[name] === value));
const headers = ({ key } = system) => ({
  authorization: `Bearer ${key}`,
  'content-type': 'application/json',
});

const beginnings: [what: string, bytes: string | Buffer][] = [
  ['says nothing', ''],
  ['sends the first letter of the preface', 'P'],
  ['sends half of the preface', preface.slice(0, 12)],
  ['sends the preface and nothing more', preface],
  ['speaks HTTP/2 and asks for nothing', Buffer.concat([Buffer.from(preface), settings])],
  [
    'never ends a header block of HTTP/2',
    Buffer.concat([Buffer.from(preface), settings, frame(1, 0, 1, headerBlock)]),
  ],
  ['never ends a header of HTTP/1.1', 'GET /health/live HTTP/1.1\r\nhost: a\r\n'],
];
for (const [what, bytes] of beginnings) {
  test(`a connection that ${what} is closed`, async () => {
    const { socket } = await dial();
    socket.write(bytes);
    await closes(socket);
  });
}

test('a header that comes a byte at a time is not waited for without end', async () => {
  const { socket, got } = await dial();
  socket.write('GET /health/live HTTP/1.1\r\n');
  const drip = setInterval(() => socket.write('a'), 100);
  try {
    await closes(socket);
  } finally {
    clearInterval(drip);
  }
  assert.match(got().toString(), /^HTTP\/1\.1 408 .*"code":"request_timeout"/s);
  assert.ok(linesOf({ route: 'none', code: 'request_timeout' }).length > 0);
});

test('a body that does not come ends its request, over HTTP/1.1 and over HTTP/2', async () => {
  const { socket, got } = await dial();
  socket.write(
    `POST /v1/embeddings HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${system.key}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"input`,
  );
  const client = await openHttp2(system.url);
  clients.push(client);
  const stream = client.begin({ ':path': '/v1/embeddings', ':method': 'POST', ...headers() });
  stream.write('{"input');
  const status = new Promise(resolve => stream.on('response', got => resolve(got[':status'])));
  await closes(socket);
  assert.match(got().toString(), /^HTTP\/1\.1 408 /);
  assert.equal(await status, 408);
  stream.resume();
  await waitFor('the end of the stream', () => stream.closed);
  const proxied = client.begin({
    ':path': '/engines/embedding/v1/embeddings',
    ':method': 'POST',
    ...headers(),
  });
  proxied.write('{');
  proxied.resume();
  await waitFor('the end of the stream', () => proxied.closed);
  assert.equal(linesOf({ route: '/v1/embeddings', status: 408, code: 'request_timeout' }).length, 2);
  assert.equal(linesOf({ route: '/engines/embedding', status: 408 }).length, 1);
});

test('an idle HTTP/2 connection is closed in order, one with a request under way is not', async () => {
  const idle = await openHttp2(system.url);
  const busy = await openHttp2(system.url);
  clients.push(idle, busy);
  await idle.send({ path: '/health/live' });
  await embedding.fault({ mode: 'slow', ms: 5000 });
  const answer = busy.send({
    path: '/v1/embeddings',
    method: 'POST',
    headers: headers(),
    body: '{"input":"slow one"}',
  });
  await waitFor('the end of the idle connection', () => idle.session.closed);
  assert.equal((await answer).status, 200);
  await embedding.fault({ mode: 'none' });
});

test('an answer that a client does not take is dropped, over HTTP/1.1 and over HTTP/2', async () => {
  const body = JSON.stringify({ input: Array.from({ length: 1500 }, (_, index) => `text ${index}`) });
  const { socket } = await dial();
  socket.pause();
  socket.write(
    `POST /v1/embeddings HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${system.key}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  const client = await openHttp2(system.url, { settings: { initialWindowSize: 0 } });
  clients.push(client);
  const stream = client.begin({ ':path': '/v1/embeddings', ':method': 'POST', ...headers() });
  stream.end('{"input":"one"}');
  const status = new Promise(resolve => stream.on('response', got => resolve(got[':status'])));
  assert.equal(await status, 200);
  await waitFor('the stream to be reset', () => stream.closed);
  assert.doesNotMatch(system.output('gateway'), /uncaught|unhandled|request failed/i);
  const line = await waitFor('the record of the large answer', () =>
    readFileSync(join(system.folder, 'logs/audit/gateway-0.jsonl'), 'utf8')
      .split('\n')
      .find(record => record.includes('"inputs":1500')),
  );
  assert.equal((JSON.parse(line) as { status: number }).status, 499);
});

test('a reader that is slow and steady gets all of its answer', async t => {
  // This process reads by a timer and may itself get no CPU for a while: 5 s are no steady reader's pause.
  const patient = await startSmallSystem({
    embeddingUrls: [embedding.url],
    rerankerUrls: [reranker.url],
    env: { ER_GATEWAY_SEND_TIMEOUT_SECONDS: '5' },
  });
  t.after(() => patient.stop());
  const client = await openHttp2(patient.url, { settings: { initialWindowSize: 16_384 } });
  clients.push(client);
  const stream = client.begin({
    ':path': '/v1/embeddings',
    ':method': 'POST',
    'accept-encoding': 'gzip',
    ...headers(patient),
  });
  stream.end(JSON.stringify({ input: Array.from({ length: 300 }, (_, index) => `slow ${index}`) }));
  const begin = performance.now();
  let bytes = 0;
  const reading = setInterval(() => {
    bytes += (stream.read(8192) ?? stream.read() ?? '').length;
  }, 50);
  try {
    await waitFor('the end of the answer', () => stream.closed, { timeoutMs: 60_000 });
  } finally {
    clearInterval(reading);
  }
  assert.equal(stream.rstCode, constants.NGHTTP2_NO_ERROR);
  // Longer than it may take nothing, and than the looks for that are apart.
  assert.ok(performance.now() - begin > 7000, `${bytes} bytes in ${performance.now() - begin} ms`);
});

/** A header field of HPACK as a literal that is not indexed. */
const field = (name: string, value: string) =>
  Buffer.concat([
    Buffer.from([0, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ]);

// With frames of our own: Node's client ends the body before it resets the stream.
test('a request that is reset in its body is no request with a short body', async () => {
  const { socket } = await dial();
  const head = Buffer.concat([
    headerBlock,
    field('authorization', `Bearer ${system.key}`),
    field('content-type', 'application/json'),
    field('x-request-id', 'reset-in-body'),
  ]);
  socket.write(
    Buffer.concat([
      Buffer.from(preface),
      settings,
      frame(1, 4, 1, head),
      frame(0, 0, 1, Buffer.from('{"input": "half of')),
    ]),
  );
  await waitFor('the connection to be read', async () => (await fetch(`${system.url}/health/live`)).ok);
  socket.write(frame(3, 0, 1, Buffer.from([0, 0, 0, 8])));
  const line = await waitFor('the record', () =>
    readFileSync(join(system.folder, 'logs/audit/gateway-0.jsonl'), 'utf8')
      .split('\n')
      .find(record => record.includes('reset-in-body')),
  );
  const { status, code } = JSON.parse(line) as { status: number; code: string };
  assert.deepEqual([status, code], [499, 'client_closed_request']);
});

test('streams that are opened and reset at once end the connection, and others are served meanwhile', async () => {
  const { socket } = await dial();
  socket.write(Buffer.concat([Buffer.from(preface), settings]));
  const cancel = Buffer.from([0, 0, 0, 8]);
  for (let batch = 0; batch < 20 && !socket.closed; batch++) {
    const frames: Buffer[] = [];
    for (let number = 0; number < 100; number++) {
      const id = 2 * (batch * 100 + number) + 1;
      frames.push(frame(1, 4, id, headerBlock), frame(3, 0, id, cancel));
    }
    socket.write(Buffer.concat(frames));
    assert.equal((await fetch(`${system.url}/health/live`)).status, 200);
  }
  await closes(socket);
});

const floods: [what: string, flood: Buffer][] = [
  ['PING', frame(6, 0, 0, Buffer.alloc(8))],
  ['SETTINGS', settings],
];
for (const [what, one] of floods) {
  test(`a flood of ${what} frames ends the connection`, async () => {
    const { socket } = await dial();
    socket.write(Buffer.concat([Buffer.from(preface), settings]));
    const many = Buffer.concat(Array.from({ length: 1000 }, () => one));
    for (let batch = 0; batch < 10 && !socket.closed; batch++) {
      socket.write(many);
      await new Promise(resolve => setImmediate(resolve));
    }
    await closes(socket);
  });
}

test('a flood of CONTINUATION frames ends the connection', async () => {
  const { socket } = await dial();
  socket.write(Buffer.concat([Buffer.from(preface), settings, frame(1, 0, 1, headerBlock)]));
  for (let number = 0; number < 1000 && !socket.closed; number++)
    socket.write(frame(9, 0, 1, Buffer.from([0x00, 1, 0x61, 1, 0x62])));
  await closes(socket);
});

test('header lists over the limit are refused, over HTTP/1.1 and over HTTP/2', async () => {
  const big = 'a'.repeat(20_000);
  const over1 = await fetch(`${system.url}/health/live`, { headers: { 'x-big': big } });
  assert.equal(over1.status, 431);
  assert.match(await over1.text(), /"code":"headers_too_large"/);
  assert.match(over1.headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/);
  assert.equal((await fetch(`${system.url}/health/live?${big}`)).status, 431);
  assert.equal(linesOf({ route: 'none', status: 431, address: '127.0.0.1' }).length, 2);
  const client = await openHttp2(system.url);
  clients.push(client);
  assert.equal(client.session.remoteSettings.maxHeaderListSize, 16_384);
  await assert.rejects(client.send({ path: '/health/live', headers: { 'x-big': big } }));
  const many = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`x-${index}`, 'a']));
  const next = await openHttp2(system.url);
  clients.push(next);
  await assert.rejects(next.send({ path: '/health/live', headers: many }));
});
