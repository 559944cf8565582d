import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type FakeModel, startFakeModel } from '../../kit/fake-model.ts';
import { type SmallSystem, startSmallSystem } from '../../kit/small-system.ts';
import { waitFor } from '../../kit/wait-for.ts';

const maxBodyBytes = 100_000;
const json = { 'content-type': 'application/json' };
let embedding: FakeModel;
let reranker: FakeModel;
let system: SmallSystem;

before(async () => {
  embedding = await startFakeModel({ role: 'embedding', maxModelLen: 64 });
  reranker = await startFakeModel({ role: 'reranker', servedName: 'Qwen3-Reranker-0.6B' });
  system = await startSmallSystem({
    embeddingUrls: [embedding.url],
    rerankerUrls: [reranker.url],
    env: { ER_GATEWAY_MAX_BODY_BYTES: String(maxBodyBytes), ER_LIMITS_INPUTS_PER_REQUEST: '8' },
  });
});
after(async () => {
  await system?.stop();
  await embedding?.stop();
  await reranker?.stop();
});

interface Envelope {
  error: { message: string; type: string; param: string | null; code: string };
}

const secret = 'SECRET-INPUT-TEXT';
for (const [what, path, init, status, code, param] of [
  [
    'broken JSON',
    '/v1/embeddings',
    { body: `{"input": "${secret}",}`, headers: json },
    400,
    'invalid_request',
    null,
  ],
  ['an empty body', '/v1/embeddings', { body: '', headers: json }, 400, 'invalid_request', null],
  ['a list for a body', '/v1/embeddings', { body: '[1]', headers: json }, 400, 'invalid_request', null],
  ['null for a body', '/v1/rerank', { body: 'null', headers: json }, 400, 'invalid_request', null],
  [
    'invalid UTF-8',
    '/v1/embeddings',
    { body: Buffer.from([0x22, 0xff, 0x22]), headers: json },
    400,
    'invalid_request',
    null,
  ],
  [
    'another content type',
    '/v1/embeddings',
    { body: '{}', headers: { 'content-type': 'text/plain' } },
    415,
    'unsupported_media_type',
    null,
  ],
  [
    'another charset',
    '/v1/embeddings',
    { body: '{}', headers: { 'content-type': 'application/json; charset=latin1' } },
    415,
    'unsupported_media_type',
    null,
  ],
  [
    'another compression',
    '/v1/embeddings',
    { body: '{}', headers: { ...json, 'content-encoding': 'lzw' } },
    415,
    'unsupported_media_type',
    null,
  ],
  [
    'a broken compression',
    '/v1/embeddings',
    { body: '{}', headers: { ...json, 'content-encoding': 'gzip' } },
    400,
    'invalid_request',
    null,
  ],
  ['no input', '/v1/embeddings', { body: '{}', headers: json }, 400, 'invalid_request', 'input'],
  [
    'an empty input',
    '/v1/embeddings',
    { body: '{"input":""}', headers: json },
    400,
    'invalid_request',
    'input',
  ],
  [
    'an empty list',
    '/v1/embeddings',
    { body: '{"input":[]}', headers: json },
    400,
    'invalid_request',
    'input',
  ],
  [
    'an input of the wrong type',
    '/v1/embeddings',
    { body: '{"input":7}', headers: json },
    400,
    'invalid_request',
    'input',
  ],
  [
    'mixed inputs',
    '/v1/embeddings',
    { body: '{"input":["a",1]}', headers: json },
    400,
    'invalid_request',
    'input[1]',
  ],
  [
    'too many inputs',
    '/v1/embeddings',
    { body: JSON.stringify({ input: Array(9).fill('a') }), headers: json },
    400,
    'invalid_request',
    'input',
  ],
  [
    'too long an input',
    '/v1/embeddings',
    { body: JSON.stringify({ input: 'word '.repeat(100) }), headers: json },
    400,
    'invalid_request',
    'input',
  ],
  [
    'an unknown encoding_format',
    '/v1/embeddings',
    { body: '{"input":"a","encoding_format":"hex"}', headers: json },
    400,
    'invalid_request',
    'encoding_format',
  ],
  [
    'dimensions below 1',
    '/v1/embeddings',
    { body: '{"input":"a","dimensions":0}', headers: json },
    400,
    'invalid_request',
    'dimensions',
  ],
  [
    'dimensions above the model',
    '/v1/embeddings',
    { body: '{"input":"a","dimensions":4096}', headers: json },
    400,
    'invalid_request',
    'dimensions',
  ],
  [
    'an unknown model',
    '/v1/embeddings',
    { body: '{"model":"gpt-x","input":"a"}', headers: json },
    404,
    'model_not_found',
    'model',
  ],
  [
    "the other route's model",
    '/v1/embeddings',
    { body: '{"model":"Qwen3-Reranker-0.6B","input":"a"}', headers: json },
    400,
    'invalid_request',
    'model',
  ],
  ['no query', '/v1/rerank', { body: '{"documents":["a"]}', headers: json }, 400, 'invalid_request', 'query'],
  [
    'documents of the wrong type',
    '/v1/rerank',
    { body: '{"query":"q","documents":[{"txt":"a"}]}', headers: json },
    400,
    'invalid_request',
    'documents[0]',
  ],
  [
    'a negative top_n',
    '/v1/rerank',
    { body: '{"query":"q","documents":["a"],"top_n":-1}', headers: json },
    400,
    'invalid_request',
    'top_n',
  ],
  ['an unknown route', '/v1/nothing', { body: '{}', headers: json }, 404, 'not_found', null],
  ['another method', '/v1/embeddings', { method: 'GET' }, 405, 'method_not_allowed', null],
] as [string, string, RequestInit, number, string, string | null][]) {
  test(`${what} is answered with ${status} ${code}`, async () => {
    const answer = await system.fetch(path, { method: 'POST', ...init });
    const text = await answer.text();
    const { error } = JSON.parse(text) as Envelope;
    assert.equal(answer.status, status, text);
    assert.deepEqual([error.code, error.param], [code, param], text);
    assert.equal(typeof error.type, 'string');
    assert.ok(error.message.length > 10, 'the message says something');
    assert.ok(!text.includes(secret), 'no input text in errors');
    assert.match(answer.headers.get('x-request-id') ?? '', /./);
    assert.match(answer.headers.get('x-ratelimit-remaining-requests') ?? '', /^\d+$/);
    if (status === 405) assert.equal(answer.headers.get('allow'), 'POST');
  });
}

test('a compressed body is read like a plain one', async () => {
  const body = gzipSync(JSON.stringify({ input: 'a' }));
  const answer = await system.fetch('/v1/embeddings', {
    method: 'POST',
    body,
    headers: { ...json, 'content-encoding': 'gzip' },
  });
  assert.equal(answer.status, 200);
});

test('a small body that unpacks above the cap is refused with 413', async () => {
  const body = gzipSync(JSON.stringify({ input: 'a'.repeat(maxBodyBytes * 50) }));
  assert.ok(body.length < maxBodyBytes);
  const answer = await system.fetch('/v1/embeddings', {
    method: 'POST',
    body,
    headers: { ...json, 'content-encoding': 'gzip' },
  });
  assert.equal(answer.status, 413);
});

/** Sends a request's head and as much of a body as is asked for, and returns what comes back. */
async function rawAnswer(head: string[], bodyBytes: number): Promise<string> {
  const socket = connect(Number(new URL(system.url).port), '127.0.0.1');
  await once(socket, 'connect');
  socket.write(
    `POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${head.join('\r\n')}\r\n\r\n`,
  );
  if (bodyBytes > 0) socket.write('x'.repeat(bodyBytes));
  let text = '';
  for await (const chunk of socket) {
    text += chunk;
    if (/\r\n\r\n.*\}$/s.test(text)) break;
  }
  socket.destroy();
  return text;
}

test('a body announced above the cap is refused before it is sent', async () => {
  const answer = await rawAnswer([`Authorization: Bearer ${system.key}`, 'Content-Length: 99999999'], 0);
  assert.match(answer, /^HTTP\/1.1 413 /);
  assert.match(answer, /"code":"request_too_large"/);
});

test('a body of unknown length is refused at the cap, not after its end', async () => {
  const head = [`Authorization: Bearer ${system.key}`, 'Transfer-Encoding: chunked'];
  const socket = connect(Number(new URL(system.url).port), '127.0.0.1');
  await once(socket, 'connect');
  socket.write(
    `POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${head.join('\r\n')}\r\n\r\n`,
  );
  const chunk = `${(maxBodyBytes + 1).toString(16)}\r\n${'x'.repeat(maxBodyBytes + 1)}\r\n`;
  socket.write(chunk); // and no last chunk: the body never ends
  const [first] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  assert.match(String(first), /^HTTP\/1.1 413 /);
});

test('one key fills half of what a worker holds of bodies, then gets 503; others, and small bodies, go on', async t => {
  const maxBytes = 16 * 1024 * 1024;
  const large = await startSmallSystem({
    embeddingUrls: [embedding.url],
    rerankerUrls: [reranker.url],
    env: { ER_GATEWAY_MAX_BODY_BYTES: String(maxBytes) },
  });
  const sockets: Socket[] = [];
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await large.stop();
  });
  const made = await large.post('/admin/keys', { name: 'another' });
  const { key: another } = (await made.json()) as { key: string };
  const begin = async (key: string) => {
    const socket = connect(Number(new URL(large.url).port), '127.0.0.1');
    socket.on('error', () => {});
    sockets.push(socket);
    socket.write(
      `POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer ${key}\r\nContent-Length: ${maxBytes}\r\n\r\n`,
    );
    // All but the end, so that it goes on.
    await new Promise(resolve => socket.write('x'.repeat(maxBytes - 10), resolve));
  };
  for (let time = 0; time < 5; time++) await begin(large.key);
  // Whichever the worker reads last.
  const [first] = (await Promise.race(sockets.map(socket => once(socket, 'data')))) as [Buffer];
  assert.match(String(first), /^HTTP\/1.1 503 .*retry-after: 1\r.*"code":"overloaded"/s);
  assert.equal((await large.post('/v1/embeddings', { input: 'small' })).status, 200);
  const body = { input: 'x '.repeat(100_000) };
  const tooLong = await large.post('/v1/embeddings', body, { authorization: `Bearer ${another}` });
  assert.equal(tooLong.status, 400, 'it was read');
  assert.equal((await large.post('/v1/embeddings', body)).status, 503);
  for (const socket of sockets) socket.destroy();
  await waitFor(
    'the memory to be free',
    async () => (await large.post('/v1/embeddings', body)).status === 400,
  );
});

for (const [what, head] of [
  ['no key', []],
  ['a wrong key', ['Authorization: Bearer er-wrong']],
  ['another scheme', ['Authorization: Basic ZXI6eA==']],
] as const) {
  test(`${what} is answered with 401 before a byte of the body is sent`, async () => {
    const answer = await rawAnswer([...head, 'Content-Length: 1000'], 0);
    assert.match(answer, /^HTTP\/1.1 401 /);
    assert.match(answer, /"code":"invalid_api_key"/);
    assert.match(answer, /www-authenticate: Bearer/i);
  });
}

test('a client that waits for "100 Continue" gets its 401 instead', async () => {
  const answer = await rawAnswer(['Expect: 100-continue', 'Content-Length: 1000'], 0);
  assert.match(answer, /^HTTP\/1.1 401 /);
});

test('unknown routes without a key say 401: what exists is nobody else’s business', async () => {
  assert.equal((await fetch(`${system.url}/v1/nothing`)).status, 401);
});

test('TEI and Cohere routes answer errors in their own shape', async () => {
  const tei = (await (await system.post('/embed', { inputs: [] })).json()) as Record<string, unknown>;
  assert.equal(tei.error_type, 'Validation');
  const cohere = (await (await system.post('/v2/rerank', { query: 'q', documents: [] })).json()) as Record<
    string,
    unknown
  >;
  assert.match(String(cohere.message), /documents is empty/);
});

test('requests that are refused cost the models nothing', async () => {
  await embedding.forget();
  await system.post('/v1/embeddings', { input: '' });
  await system.post('/v1/embeddings', { input: 'a', encoding_format: 'hex' });
  assert.equal((await embedding.seen()).requests, 0);
});

test('a request id that is safe is kept, one that is not is replaced', async () => {
  const kept = await system.fetch('/v1/models', { headers: { 'x-request-id': 'my-id.1' } });
  assert.equal(kept.headers.get('x-request-id'), 'my-id.1');
  const replaced = await system.fetch('/v1/models', { headers: { 'x-request-id': 'a b"c' } });
  assert.match(replaced.headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/);
});
