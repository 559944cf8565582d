import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { openHttp2 } from '../../kit/http2-client.ts';
import { runProgram } from '../../kit/run-program.ts';
import { type SmallSystem, startSmallSystem } from '../../kit/small-system.ts';
import { projectRoot } from '../../kit/stack.ts';
import { waitFor } from '../../kit/wait-for.ts';

let folder: string;
let system: SmallSystem;
let url: URL;
const files = () => ({ cert: join(folder, 'er-gateway.crt'), key: join(folder, 'er-gateway.key') });
const makePair = (...args: string[]) =>
  runProgram(process.execPath, ['apps/cli/src/main.ts', 'cert', '--dir', folder, ...args], {
    cwd: projectRoot,
    env: process.env,
  });

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'er-tls-'));
  const made = await makePair('localhost', '127.0.0.1');
  assert.equal(made.code, 0, made.output);
  const { cert, key } = files();
  system = await startSmallSystem({
    embeddingUrls: ['http://127.0.0.1:9'],
    rerankerUrls: ['http://127.0.0.1:9'],
    waitForModels: false,
    env: {
      ER_GATEWAY_TLS_CERT: cert,
      ER_GATEWAY_TLS_KEY: key,
      ER_GATEWAY_TLS_HSTS_SECONDS: '31536000',
      ER_GATEWAY_HEADER_TIMEOUT_SECONDS: '1',
    },
  });
  url = new URL(system.url);
});
after(async () => {
  await system?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const authority = () => readFileSync(files().cert);
/** A TLS connection, or the reason why there is none. */
async function dial(options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ host: url.hostname, port: Number(url.port), ca: authority(), ...options });
  await once(socket, 'secureConnect');
  return socket;
}
const fingerprint = async () => {
  const socket = await dial();
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
};

test('er cert makes a pair that clients accept as it is, with a key for its owner alone, and replaces none unasked', async () => {
  const { cert, key } = files();
  assert.equal(statSync(key).mode & 0o777, 0o600);
  const before = readFileSync(cert);
  const again = await makePair();
  assert.equal(again.code, 1);
  assert.match(again.output, /is there already/);
  assert.deepEqual(readFileSync(cert), before);
  const socket = await dial();
  assert.ok(socket.authorized);
  assert.match(socket.getPeerCertificate().subjectaltname ?? '', /DNS:localhost, IP Address:127\.0\.0\.1/);
  socket.destroy();
  assert.equal((await makePair('--days', '0', '--force')).code, 1);
});

test('ALPN chooses HTTP/2 or HTTP/1.1, and both answer, with Strict-Transport-Security', async () => {
  for (const [offered, chosen] of [
    [['h2', 'http/1.1'], 'h2'],
    [['http/1.1'], 'http/1.1'],
    [undefined, false],
  ] as const) {
    const socket = await dial(offered ? { ALPNProtocols: [...offered] } : {});
    assert.equal(socket.alpnProtocol, chosen);
    socket.destroy();
  }
  const client = await openHttp2(system.url, { ca: authority() });
  const over2 = await client.send({ path: '/v1/models', headers: { authorization: `Bearer ${system.key}` } });
  client.close();
  assert.equal(over2.status, 200);
  assert.equal(over2.headers['strict-transport-security'], 'max-age=31536000');
  const agent = new Agent();
  const sent = request(`${system.url}/v1/models`, {
    ca: authority(),
    agent,
    headers: { authorization: `Bearer ${system.key}` },
  }).end();
  const [over1] = await once(sent, 'response');
  over1.resume();
  await once(over1, 'end');
  agent.destroy();
  assert.equal(over1.statusCode, 200);
  assert.equal(over1.headers['strict-transport-security'], 'max-age=31536000');
});

test('TLS 1.2 and 1.3 only, with forward secrecy and authenticated encryption', async () => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const socket = await dial({ minVersion: version, maxVersion: version });
    assert.equal(socket.getProtocol(), version);
    assert.match(socket.getCipher().name, version === 'TLSv1.3' ? /^TLS_/ : /^ECDHE-.*(GCM|POLY1305)/);
    socket.destroy();
  }
  const weak: ConnectionOptions[] = [
    { minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'DEFAULT:@SECLEVEL=0' },
    { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' },
    ...[
      'AES128-SHA',
      'AES128-GCM-SHA256',
      'ECDHE-ECDSA-AES128-SHA',
      'ECDHE-RSA-AES256-SHA384',
      'PSK',
      'NULL',
      'aNULL',
    ].map(ciphers => ({ maxVersion: 'TLSv1.2' as const, ciphers: `${ciphers}:@SECLEVEL=0` })),
  ];
  for (const options of weak) {
    await assert.rejects(dial(options), `${options.maxVersion} ${options.ciphers}`);
  }
});

test('a handshake that does not come ends the connection, and plain HTTP gets none', async () => {
  const { connect: dialPlain } = await import('node:net');
  for (const bytes of ['', '\x16\x03\x01', 'GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n']) {
    const socket = dialPlain(Number(url.port), url.hostname);
    const chunks: Buffer[] = [];
    socket.on('data', chunk => chunks.push(chunk));
    socket.on('error', () => {});
    socket.write(bytes);
    try {
      await waitFor('the end of the connection', () => socket.closed || socket.readableEnded);
    } finally {
      socket.destroy();
    }
    assert.doesNotMatch(Buffer.concat(chunks).toString('latin1'), /HTTP/);
  }
});

test('a new certificate is taken without a restart, a broken one is not, and old connections live on', async () => {
  const old = await openHttp2(system.url, { ca: authority() });
  // A connection that was used may idle; one that never was is cut after the time for a request's header.
  assert.equal((await old.send({ path: '/health/live' })).status, 200);
  const first = await fingerprint();
  const { cert, key } = files();
  const firstKey = readFileSync(key);
  assert.equal((await makePair('localhost', '127.0.0.1', '--force')).code, 0);
  const second = await waitFor('the new certificate', async () => {
    const now = await fingerprint().catch(() => first);
    return now !== first && now;
  });
  assert.equal((await old.send({ path: '/health/live' })).status, 200);

  const secondCert = readFileSync(cert);
  writeFileSync(`${key}.new`, firstKey, { mode: 0o600 });
  renameSync(`${key}.new`, key);
  await waitFor('the refusal of a pair that is none', () =>
    /certificate cannot be used/.test(system.output('gateway')),
  );
  assert.equal(await fingerprint(), second, 'the last good pair stays');
  assert.doesNotMatch(system.output('gateway'), /BEGIN/);
  assert.deepEqual(readFileSync(cert), secondCert);
  old.close();
});
