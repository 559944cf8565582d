import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:net';
import { test } from 'node:test';
import { portOwner, whyTaken } from '../../../apps/cli/src/port-owner.ts';
import { freePort } from '../../kit/free-port.ts';

const listen = (host: string, port: number) =>
  new Promise<Server>(resolve => {
    const server = createServer().listen(port, host, () => resolve(server));
  });
const close = (server: Server) => new Promise(resolve => server.close(resolve));

test('a free port has no owner', async () => {
  const port = await freePort();
  assert.equal(await whyTaken('127.0.0.1', port), null);
  assert.equal(portOwner(port), null);
});

test('a taken port names its process, over IPv4 and IPv6', async () => {
  for (const host of ['127.0.0.1', '::']) {
    const port = await freePort();
    const server = await listen(host, port);
    try {
      assert.equal(await whyTaken(host, port), 'EADDRINUSE');
      assert.equal(portOwner(port)?.pid, process.pid);
      assert.match(portOwner(port)?.command ?? '', /node/);
    } finally {
      await close(server);
    }
  }
});
