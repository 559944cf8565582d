import assert from 'node:assert/strict';
import { once } from 'node:events';
import { globSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect } from 'node:tls';
import { openHttp2 } from '../kit/http2-client.ts';
import { runProgram } from '../kit/run-program.ts';
import { projectRoot, type Stack, startStack } from '../kit/stack.ts';
import { waitFor } from '../kit/wait-for.ts';

const workers = 3;
let folder: string;
let stack: Stack;

const makePair = async (...args: string[]) => {
  const command = ['apps/cli/bootstrap.cjs', 'cert', 'localhost', '127.0.0.1', '--dir', folder, ...args];
  const { code, output } = await runProgram(process.execPath, command, {
    cwd: projectRoot,
    env: process.env,
  });
  assert.equal(code, 0, output);
};
const authority = () => readFileSync(join(folder, 'er-gateway.crt'));

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'er-cert-'));
  await makePair();
  stack = await startStack({
    workers,
    env: {
      ER_GATEWAY_TLS_CERT: join(folder, 'er-gateway.crt'),
      ER_GATEWAY_TLS_KEY: join(folder, 'er-gateway.key'),
    },
  });
});
after(async () => {
  await stack?.stop();
  rmSync(folder, { recursive: true, force: true });
});

test('HTTP/2 over TLS answers embeddings under PM2, with the certificate of er cert', async () => {
  const client = await openHttp2(stack.url, { ca: authority() });
  try {
    assert.equal(client.session.alpnProtocol, 'h2');
    const { status, text } = await client.send({
      path: '/v1/embeddings',
      method: 'POST',
      headers: { authorization: `Bearer ${stack.key}`, 'content-type': 'application/json' },
      body: '{"input": "Hello, world!"}',
    });
    assert.equal(status, 200);
    assert.ok(JSON.parse(text).data[0].embedding.length > 0);
    const dashboard = await client.send({
      path: '/dashboard',
      headers: { authorization: `Bearer ${stack.key}` },
    });
    assert.equal(dashboard.status, 200);
  } finally {
    client.close();
  }
});

test('a renewed certificate is shown by every worker, without a restart', async () => {
  const fingerprint = async () => {
    const socket = connect({
      host: '127.0.0.1',
      port: Number(new URL(stack.url).port),
      rejectUnauthorized: false,
    });
    await once(socket, 'secureConnect');
    const { fingerprint256 } = socket.getPeerCertificate();
    socket.destroy();
    return fingerprint256;
  };
  const pids = async () => (await stack.pm2(['jlist'])).match(/"pid":\d+/g)?.toSorted();
  const [before, pidsBefore] = [await fingerprint(), await pids()];
  await makePair('--force');
  await waitFor('the new certificate at every worker', async () => {
    const seen = await Promise.all(Array.from({ length: 8 * workers }, fingerprint));
    return seen.every(one => one !== before);
  });
  assert.deepEqual(await pids(), pidsBefore);
});

test('no key is in the list of processes, in their arguments or in what PM2 keeps', async () => {
  const commands = readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(pid => ['cmdline', 'environ'].map(file => readIfAllowed(`/proc/${pid}/${file}`)));
  assert.ok(commands.length > 10);
  for (const text of commands) assert.ok(!text.includes(stack.key), 'the key is in a process');
  assert.ok(!(await stack.pm2(['jlist'])).includes(stack.key), 'the key is in pm2 jlist');
});

test('what is secret is for its owner alone', () => {
  const { keysFile, runDir, logsDir, pm2Home } = stack;
  const modeOf = (path: string) => statSync(path).mode & 0o777;
  assert.equal(modeOf(keysFile), 0o600);
  assert.equal(modeOf(runDir), 0o700);
  assert.equal(modeOf(logsDir), 0o700);
  const logs = globSync(join(logsDir, '*.log'));
  assert.ok(logs.length >= 4, logs.join());
  for (const file of logs) assert.equal(modeOf(file), 0o600, file);
  assert.equal(modeOf(join(logsDir, 'audit')), 0o700);
  assert.equal(modeOf(join(folder, 'er-gateway.key')), 0o600);
  const audit = globSync(join(logsDir, 'audit/*'));
  assert.ok(audit.length > 0);
  for (const file of audit) assert.equal(modeOf(file), 0o600, file);
  const settings = globSync(join(pm2Home, 'er-gateway/*.json'));
  assert.ok(settings.length > 0);
  for (const file of settings) assert.equal(modeOf(file), 0o600, file);
});

function readIfAllowed(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return ''; // ended meanwhile, or somebody else's
  }
}
