import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { searchAudit } from '@er-gateway/shared/audit/search-audit';
import { type Http2Client, openHttp2 } from '../../kit/http2-client.ts';
import { type SmallSystem, startSmallSystem } from '../../kit/small-system.ts';
import { waitFor } from '../../kit/wait-for.ts';

/** Stands behind the routes that pass requests on, and keeps what it got. */
let target: Server;
const received: { method: string; url: string; headers: Record<string, unknown>; body: string }[] = [];
let system: SmallSystem;
let client: Http2Client;

before(async () => {
  target = createServer(async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    const { method = '', url = '', headers } = req;
    received.push({ method, url, headers, body: Buffer.concat(chunks).toString() });
    if (url === '/slow') await delay(500);
    res.end('from the target');
  });
  target.listen(0, '127.0.0.1');
  await once(target, 'listening');
  const url = `http://127.0.0.1:${(target.address() as AddressInfo).port}`;
  system = await startSmallSystem({ embeddingUrls: [url], rerankerUrls: [url], waitForModels: false });
  client = await openHttp2(system.url);
});
after(async () => {
  client?.close();
  await system?.stop();
  target?.closeAllConnections();
  target?.close();
});

/** Sends bytes as they are, then those of `more`, and returns what came back until the server closed. */
async function exchangeRaw(bytes: string, more = async () => ''): Promise<string> {
  const { hostname, port } = new URL(system.url);
  const socket = connect(Number(port), hostname);
  const chunks: Buffer[] = [];
  socket.on('data', chunk => chunks.push(chunk));
  socket.on('error', () => {});
  socket.write(bytes, 'latin1');
  try {
    socket.write(await more());
    await waitFor('the server to close', () => socket.readableEnded || socket.closed);
  } finally {
    socket.destroy();
  }
  return Buffer.concat(chunks).toString('latin1');
}
const statusesIn = (answers: string) =>
  [...answers.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) => status);
const linesOf = (query: object) => searchAudit(join(system.folder, 'logs/audit'), { limit: 1000, ...query });
const auth = () => `authorization: Bearer ${system.key}\r\n`;
const hidden = 'GET /metrics HTTP/1.1\r\nhost: hidden\r\n\r\n';

const ambiguous: [what: string, head: string][] = [
  ['Content-Length and Transfer-Encoding', 'content-length: 4\r\ntransfer-encoding: chunked\r\n'],
  ['two lengths', 'content-length: 4\r\ncontent-length: 40\r\n'],
  ['a list of lengths', 'content-length: 4, 40\r\n'],
  ['a length with a sign', 'content-length: +4\r\n'],
  ['a negative length', 'content-length: -4\r\n'],
  ['a length in hexadecimal', 'content-length: 0x4\r\n'],
  ['chunked that is not last', 'transfer-encoding: chunked, identity\r\n'],
  ['an unknown transfer coding', 'transfer-encoding: xchunked\r\n'],
  ['a space before the colon', 'content-length : 4\r\n'],
  ['a folded line', 'x-a: b\r\n content-length: 4\r\n'],
  ['a line feed alone', 'x-a: b\ncontent-length: 4\r\n'],
  ['a carriage return alone', 'x-a: b\rcontent-length: 4\r\n'],
  ['a zero byte', 'x-a: b\0c\r\n'],
];
for (const [what, head] of ambiguous) {
  test(`a request with ${what} is refused, and what follows it is not read as another`, async () => {
    const answers = await exchangeRaw(
      `POST /engines/embedding/x HTTP/1.1\r\nhost: a\r\n${auth()}${head}\r\n0\r\n\r\n${hidden}`,
    );
    assert.deepEqual(statusesIn(answers), ['400']);
    assert.match(answers, /\{"error":\{"message":"[^"]+","type":"invalid_request_error"/);
    assert.equal(received.filter(({ headers }) => headers.host === 'hidden').length, 0);
  });
}

test('a broken chunk is refused', async () => {
  const answers = await exchangeRaw(
    `POST /v1/embeddings HTTP/1.1\r\nhost: a\r\n${auth()}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n${hidden}`,
  );
  assert.deepEqual(statusesIn(answers), ['400']);
  const [line] = await linesOf({ route: '/v1/embeddings' });
  assert.deepEqual([line?.status, line?.code, line?.key_name], [400, 'invalid_request', 'default']);
});

test('what is no request leaves a line too, and so do a tunnel and an expectation that are asked for', async () => {
  const before = (await linesOf({ route: 'none', status: 400 })).length;
  assert.deepEqual(statusesIn(await exchangeRaw('\x16\x03\x01 hello\r\n\r\n')), ['400']);
  assert.equal((await linesOf({ route: 'none', status: 400 })).length, before + 1);
  assert.deepEqual(statusesIn(await exchangeRaw('CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n')), ['405']);
  assert.equal((await linesOf({ route: 'none', status: 405 })).length, 1);
  const stream = client.begin({
    ':method': 'CONNECT',
    ':authority': 'a:1',
    authorization: `Bearer ${system.key}`,
  });
  const [got] = await once(stream, 'response');
  assert.equal(got[':status'], 405);
  // The line is kept before the last byte; over HTTP/2 the header goes first.
  await once(stream.resume(), 'end');
  assert.equal((await linesOf({ route: 'unknown', status: 405 })).length, 1);
  const expecting = 'expect: a-miracle\r\nx-request-id: miracle\r\nconnection: close\r\n';
  assert.deepEqual(
    statusesIn(await exchangeRaw(`GET /v1/models HTTP/1.1\r\nhost: a\r\n${auth()}${expecting}\r\n`)),
    ['200'],
  );
  assert.equal((await linesOf({ request: 'miracle', status: 200 })).length, 1);
});

test('the answer to a whole request comes before the refusal of what follows it', async () => {
  const answers = await exchangeRaw(`GET /v1/models HTTP/1.1\r\nhost: a\r\n${auth()}\r\nnonsense\r\n\r\n`);
  assert.deepEqual(answers.match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 400']);
});

const getText = (path: string, head = '') => `GET ${path} HTTP/1.1\r\nhost: a\r\n${auth()}${head}\r\n`;
for (const [what, bytes, status] of [
  ['rubbish', 'nonsense\r\n\r\n', '400'],
  ['a CONNECT', 'CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n', '405'],
] as const) {
  test(`an answer that takes its time comes before the refusal of ${what}, and so does one that waits behind it`, async () => {
    const fast = getText('/health/live', `x-request-id: before-${status}\r\n`);
    const answers = await exchangeRaw(getText('/engines/embedding/slow') + fast, async () => {
      const isAnswered = async () => (await linesOf({ request: `before-${status}` })).length === 1;
      await waitFor('the second answer, which waits for the first', isAnswered, { intervalMs: 10 });
      return bytes;
    });
    // Bodies end without a line's end.
    assert.match(
      answers,
      new RegExp(`^HTTP/1.1 200.*from the target.*HTTP/1.1 200.*HTTP/1.1 ${status}`, 's'),
    );
  });
}

test('rubbish behind a request that closes its connection is told to nobody, and leaves no line', async () => {
  const before = (await linesOf({ route: 'none' })).length;
  const answers = await exchangeRaw(
    `${getText('/engines/embedding/slow', 'connection: close\r\n')}nonsense\r\n\r\n`,
  );
  assert.deepEqual(answers.match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 200']);
  assert.equal((await linesOf({ route: 'none' })).length, before);
});

test('a request without a host, and of another protocol, is refused', async () => {
  assert.deepEqual(statusesIn(await exchangeRaw('GET /v1/models HTTP/1.1\r\n\r\n')), ['400']);
  assert.deepEqual(statusesIn(await exchangeRaw('GET /v1/models HTTP/9.9\r\nhost: a\r\n\r\n')), ['400']);
});

test('a body without a length reaches a target as a body, whatever the method, over HTTP/2', async () => {
  for (const method of ['GET', 'DELETE', 'OPTIONS', 'POST', 'PUT']) {
    received.length = 0;
    const stream = client.begin({
      ':path': `/engines/embedding/${method}`,
      ':method': method,
      authorization: `Bearer ${system.key}`,
    });
    stream.resume();
    stream.end(hidden);
    await waitFor('the answer', () => stream.closed);
    const next = await client.send({
      path: '/engines/embedding/next',
      headers: { authorization: `Bearer ${system.key}` },
    });
    assert.equal(next.status, 200);
    const proxied = received.filter(
      ({ url }) => url === `/${method}` || url === '/next' || url === '/metrics',
    );
    assert.deepEqual(
      proxied.map(({ url, body }) => [url, body]),
      [
        [`/${method}`, hidden],
        ['/next', ''],
      ],
    );
  }
});

test('a target gets neither the key nor what the caller says of its own address', async () => {
  received.length = 0;
  const sent = {
    authorization: `Bearer ${system.key}`,
    'x-forwarded-for': '6.6.6.6',
    'x-forwarded-proto': 'https',
  };
  await system.fetch('/engines/embedding/who', { headers: sent });
  await client.send({ path: `/engines/embedding/who?api_key=${system.key}&a=1?b&c=2`, headers: sent });
  for (const expect of ['100-continue', 'anything']) {
    const expecting = request(`${system.url}/engines/embedding/who`, {
      method: 'POST',
      headers: { ...sent, expect, cookie: 'er_session=x' },
    });
    if (expect === '100-continue') expecting.once('continue', () => expecting.end('{}'));
    else expecting.end('{}');
    const [answer] = (await once(expecting, 'response')) as [IncomingMessage];
    assert.equal(answer.resume().statusCode, 200, expect);
    await once(answer, 'end');
  }
  const seen = received.filter(({ url }) => url.startsWith('/who'));
  assert.deepEqual(
    seen.map(({ url }) => url),
    ['/who', '/who?a=1%3Fb&c=2', '/who', '/who'],
  );
  for (const { headers } of seen) {
    assert.equal(headers.authorization, undefined);
    assert.equal(headers.cookie, undefined);
    assert.equal(headers['x-forwarded-for'], '127.0.0.1');
    assert.equal(headers['x-forwarded-proto'], 'http');
    assert.doesNotMatch(JSON.stringify(headers), /er-[0-9A-Za-z]{40}|":(path|method|authority|scheme)"/);
  }
});

const queries: [query: (key: string) => string, status: number][] = [
  [key => `api_key=${key}`, 200],
  [key => `a=1&api_key=${encodeURIComponent(key)}`, 200],
  [key => `%61pi_key=${key}`, 200],
  [key => `api_key=wrong&api_key=${key}`, 401],
  [key => `api_key[]=${key}`, 401],
  [key => `API_KEY=${key}`, 401],
  [key => `x=${key}`, 401],
  [key => `__proto__[api_key]=${key}`, 401],
  [key => `api_key=${key}%00`, 401],
  [key => `api_key=${key}%0d%0aAuthorization:%20Bearer%20${key}`, 401],
];
for (const [query, status] of queries) {
  test(`?${query('KEY')} is ${status}`, async () => {
    assert.equal((await fetch(`${system.url}/v1/models?${query(system.key)}`)).status, status);
    assert.equal((await client.send({ path: `/v1/models?${query(system.key)}` })).status, status);
  });
}

test('the first of two keys counts, and a wrong header is not mended by the query', async () => {
  const wrong = 'authorization: Bearer wrong\r\n';
  const get = (head: string, query = '') =>
    exchangeRaw(`GET /v1/models${query} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n${head}\r\n`);
  assert.deepEqual(statusesIn(await get(`${wrong}${auth()}`)), ['401']);
  assert.deepEqual(statusesIn(await get(`${auth()}${wrong}`)), ['200']);
  assert.deepEqual(statusesIn(await get(wrong, `?api_key=${system.key}`)), ['401']);
});

test('no path leads to a file: not the keys, not the logs', async () => {
  const climbs = ['../', '..%2f', '%2e%2e/', '..%5c', '....//', '%252e%252e%252f'];
  const starts = ['/', '/dashboard/', '/v1/models/', '/admin/', '/metrics/', '/openapi.json/'];
  for (const start of starts) {
    for (const climb of climbs) {
      for (const file of ['keys.json', 'logs/audit/gateway-0.jsonl', 'etc/passwd']) {
        const path = `${start}${climb.repeat(6)}${file}`;
        const headers = { authorization: `Bearer ${system.key}` };
        const { status, text } = await client.send({ path, headers });
        assert.ok([400, 404, 405, 503].includes(status), `${path}: ${status}`);
        assert.doesNotMatch(text, /er-[0-9A-Za-z]{40}|root:|request_id"/, path);
      }
    }
  }
});

test('a body cannot change what objects are', async () => {
  const bodies = [
    '{"__proto__":{"input":"polluted","polluted":true}}',
    '{"constructor":{"prototype":{"polluted":true}},"input":1}',
    '{"input":"a","__proto__":null,"toString":1,"hasOwnProperty":1,"valueOf":{"__proto__":{"polluted":1}}}',
  ];
  for (const path of ['/v1/embeddings', '/v2/embed', '/embed', '/v1/rerank', '/score', '/tokenize']) {
    for (const body of bodies) {
      const answer = await system.fetch(path, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json' },
      });
      assert.ok([400, 503].includes(answer.status), `${path}: ${answer.status}`);
      assert.doesNotMatch(await answer.text(), /polluted/);
    }
  }
  const missing = await system.post('/v1/embeddings', {});
  assert.match(await missing.text(), /input is missing/);
});

test('no header, query or path writes a line of its own into a log or the audit trail', async () => {
  const forged = 'forged-line';
  await client.send({
    path: `/v1/models?x=%0d%0a${forged}&api_key=${system.key}`,
    headers: { 'x-request-id': `a\t${forged}`, 'user-agent': forged },
  });
  await exchangeRaw(
    `GET /%0a%7b%22${forged}%22:1%7d HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-request-id: ${forged}"}\r\n${auth()}\r\n`,
  );
  const trail = readFileSync(join(system.folder, 'logs/audit/gateway-0.jsonl'), 'utf8');
  for (const line of trail.split('\n').filter(Boolean)) JSON.parse(line);
  for (const text of [trail, system.output('gateway').replace(/made an API key.*\n/, '')]) {
    assert.doesNotMatch(text, new RegExp(forged));
    assert.ok(!text.includes(system.key), 'a key in a log');
  }
});

test('wrong keys take the same time, however much of them is right', async () => {
  const timeOf = async (key: string) => {
    const begin = performance.now();
    const { status } = await client.send({ path: '/v1/models', headers: { authorization: `Bearer ${key}` } });
    assert.equal(status, 401);
    return performance.now() - begin;
  };
  const kinds = [0, 10, 35].map(right => (number: number) => {
    const known = system.key.slice(3);
    const wrong = known[right] === 'x' ? 'y' : 'x';
    return `er-${known.slice(0, right)}${wrong}${String(number).padStart(39 - right, '0')}`;
  });
  const perKind = 24; // fewer than would be slowed down as guessing
  const times = kinds.map((): number[] => []);
  for (let number = 0; number < perKind; number++)
    for (const [index, keyOf] of kinds.entries()) times[index]?.push(await timeOf(keyOf(number)));
  const medians = times.map(list => list.toSorted((one, other) => one - other)[Math.floor(perKind / 2)] ?? 0);
  assert.ok(Math.max(...medians) < 1.5 * Math.min(...medians) + 0.5, `medians ${medians.join(', ')} ms`);
});
