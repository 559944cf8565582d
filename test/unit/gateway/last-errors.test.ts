import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Exchange } from '../../../apps/gateway/src/request/exchange.ts';
import { LastErrors } from '../../../apps/gateway/src/request/last-errors.ts';

const exchange = (change: Partial<Exchange>) =>
  ({
    errorCode: null,
    errorMessage: null,
    id: 'id',
    key: null,
    route: { name: '/v1/rerank' },
    ...change,
  }) as Exchange;

test('the newest error of each code and route is kept, and nothing of answers without one', () => {
  const errors = new LastErrors();
  errors.note(exchange({}), 200);
  errors.note(exchange({ errorCode: 'client_closed_request' }), 499);
  for (const id of ['first', 'second']) {
    errors.note(exchange({ errorCode: 'invalid_request', errorMessage: `wrong in the ${id}`, id }), 400);
  }
  errors.note(exchange({ errorCode: 'overloaded', errorMessage: 'full' }), 503);
  assert.deepEqual(
    errors
      .list()
      .map(({ status, code, route, message, requestId }) => [status, code, route, message, requestId]),
    [
      [400, 'invalid_request', '/v1/rerank', 'wrong in the second', 'second'],
      [503, 'overloaded', '/v1/rerank', 'full', 'id'],
    ],
  );
});

test('routes that callers make up are one kind', () => {
  const errors = new LastErrors();
  for (const name of ['/a', '/b', '/c']) {
    errors.note(
      exchange({ errorCode: 'not_found', errorMessage: 'no', route: { name } as Exchange['route'] }),
      404,
    );
  }
  assert.equal(errors.list().length, 1);
});
