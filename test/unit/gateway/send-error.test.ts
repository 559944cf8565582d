import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { Logger } from '@er-gateway/shared/logger';
import type { Exchange } from '../../../apps/gateway/src/request/exchange.ts';
import { sendError } from '../../../apps/gateway/src/request/send-error.ts';
import { RequestTimings } from '../../../apps/gateway/src/request/timings.ts';

/** The headers that an error is answered with. */
function headersOf(error: unknown): Map<string, unknown> {
  const headers = new Map<string, unknown>();
  const res = {
    setHeader: (name: string, value: unknown) => headers.set(name, value),
    writeHead: () => res,
    end: () => res,
  };
  const exchange = {
    req: { complete: true, method: 'POST', headers: {} },
    res,
    id: 'r',
    timings: new RequestTimings(),
    dialect: null,
    usage: null,
    isRecorded: true,
  };
  const logger = { error: () => {} };
  sendError(exchange as unknown as Exchange, error, logger as unknown as Logger);
  return headers;
}

test('only a fault of ours tells clients not to try again', () => {
  assert.equal(headersOf(new Error('a bug')).get('x-should-retry'), 'false');
  for (const code of ['overloaded', 'upstream_failed', 'upstream_timeout', 'rate_limit_exceeded'] as const)
    assert.equal(headersOf(new RequestError(code, 'wait')).get('x-should-retry'), undefined, code);
});
