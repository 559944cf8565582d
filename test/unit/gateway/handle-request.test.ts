import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { createLogger } from '@er-gateway/shared/logger';
import express from 'express';
import { ClientGone, type Exchange, type Route } from '../../../apps/gateway/src/request/exchange.ts';
import { handleRequest, type RequestDependencies } from '../../../apps/gateway/src/request/handle-request.ts';

test('no work begins for a client that left while its limit was asked for', async t => {
  const seen = Promise.withResolvers<Exchange>();
  const limit = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<unknown>();
  const logger = createLogger('test', 'error');
  logger.silent = true;
  const dependencies = {
    recorder: { begin: () => {} },
    keys: { find: async () => ({ id: 'key', role: 'user' }) },
    rateGate: {
      admit: (exchange: Exchange) => {
        seen.resolve(exchange);
        return limit.promise;
      },
      afterFailure: async (exchange: Exchange) => ended.resolve(exchange.signal.reason),
    },
    callers: { callerAddress: () => '192.0.2.1', isSecure: () => false },
    logger,
  } as unknown as RequestDependencies;
  const route: Route = { name: '/work', access: 'key', isCharged: true, dialect: null };
  const app = express();
  app.post(
    '/work',
    handleRequest(route, dependencies, () => ended.resolve('it worked')),
  );
  const server = app.listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');

  const { port } = server.address() as AddressInfo;
  const client = request({ port, path: '/work', method: 'POST', headers: { authorization: 'Bearer key' } });
  client.on('error', () => {}); // it is ours to leave
  client.end('{}');
  const { signal } = await seen.promise;
  client.destroy();
  await once(signal, 'abort');
  limit.resolve();
  assert.ok((await ended.promise) instanceof ClientGone);
});
