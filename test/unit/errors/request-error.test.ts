import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorCode, errorCatalogue } from '@er-gateway/shared/errors/catalogue';
import { ConfigError, configExitCode } from '@er-gateway/shared/errors/config-error';
import {
  fromPlainError,
  RequestError,
  toPlainError,
  toRequestError,
} from '@er-gateway/shared/errors/request-error';

/** What clients rely on: the contract of statuses and types, written out once more on purpose. */
const contract: Record<ErrorCode, [status: number, type: string]> = {
  invalid_request: [400, 'invalid_request_error'],
  invalid_api_key: [401, 'invalid_request_error'],
  permission_denied: [403, 'permission_error'],
  model_not_found: [404, 'invalid_request_error'],
  not_found: [404, 'invalid_request_error'],
  method_not_allowed: [405, 'invalid_request_error'],
  request_timeout: [408, 'invalid_request_error'],
  request_too_large: [413, 'invalid_request_error'],
  unsupported_media_type: [415, 'invalid_request_error'],
  headers_too_large: [431, 'invalid_request_error'],
  rate_limit_exceeded: [429, 'rate_limit_error'],
  too_many_failures: [429, 'rate_limit_error'],
  client_closed_request: [499, 'invalid_request_error'],
  internal_error: [500, 'server_error'],
  upstream_failed: [502, 'server_error'],
  overloaded: [503, 'server_error'],
  no_available_upstream: [503, 'server_error'],
  shutting_down: [503, 'server_error'],
  state_unavailable: [503, 'server_error'],
  upstream_timeout: [504, 'server_error'],
};

test('each code has its status and type', () => {
  assert.deepEqual(Object.keys(errorCatalogue), Object.keys(contract));
  for (const code of Object.keys(contract) as ErrorCode[]) {
    const error = new RequestError(code, 'message');
    assert.deepEqual([error.status, error.type], contract[code], code);
  }
});

test('what is not given is null, no header, no cause', () => {
  const error = new RequestError('overloaded', 'busy');
  assert.deepEqual([error.param, error.retryAfterMs, error.headers], [null, null, {}]);
  assert.ok(!('cause' in error));
});

test('an error of ours stays as it is; any other thrown value becomes an internal error without its text', () => {
  const ours = new RequestError('not_found', 'no such route');
  assert.equal(toRequestError(ours), ours);
  for (const thrown of [
    new Error('password=1234'),
    'password=1234',
    undefined,
    { message: 'password=1234' },
  ]) {
    const error = toRequestError(thrown);
    assert.equal(error.code, 'internal_error');
    assert.doesNotMatch(error.message, /password/);
    assert.equal(error.cause, thrown);
  }
});

test('an error crosses between processes with all that the caller sees, whatever its code', () => {
  for (const code of Object.keys(errorCatalogue) as ErrorCode[]) {
    const sent = new RequestError(code, 'what, limit, fix', { param: 'input[3]', retryAfterMs: 1500 });
    const received = fromPlainError(JSON.parse(JSON.stringify(toPlainError(sent))));
    assert.deepEqual(
      [received.code, received.message, received.param, received.retryAfterMs, received.status],
      [code, 'what, limit, fix', 'input[3]', 1500, sent.status],
    );
  }
});

test('what an error does not have does not cross either: nulls would cost bytes in each frame', () => {
  assert.deepEqual(toPlainError(new RequestError('overloaded', 'busy')), {
    code: 'overloaded',
    message: 'busy',
  });
});

test('headers, cause and stack do not cross', () => {
  const plain = toPlainError(
    new RequestError('invalid_api_key', 'no key', {
      headers: { 'www-authenticate': 'Bearer' },
      cause: new Error('secret'),
    }),
  );
  assert.deepEqual(plain, { code: 'invalid_api_key', message: 'no key' });
});

test('a wrong configuration ends a process with sysexits’ EX_CONFIG', () => {
  assert.equal(configExitCode, 78);
  const error = new ConfigError(['one', 'two']);
  assert.deepEqual(error.problems, ['one', 'two']);
  assert.equal(error.name, 'ConfigError');
});
