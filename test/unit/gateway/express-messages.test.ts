import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import express from 'express';
import { giveMessages } from '../../../apps/gateway/src/transport/express-messages.ts';

test('requests and answers have the prototypes that Express gives them before it does', async t => {
  const app = express();
  const messages = giveMessages(app);
  app.get('/', (req, res) => res.json({ path: req.path, app: req.app === app && res.app === app }));
  const before: boolean[] = [];
  const server = createServer({ ...messages }, (req, res) => {
    before.push(Object.getPrototypeOf(req) === app.request, Object.getPrototypeOf(res) === app.response);
    app(req as never, res as never);
  });
  t.after(() => server.close());
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const answer = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } });
  assert.deepEqual(await answer.json(), { path: '/', app: true });
  assert.deepEqual(before, [true, true]);
});
