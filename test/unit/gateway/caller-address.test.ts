import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createCallerView } from '../../../apps/gateway/src/request/caller-address.ts';

const request = (
  remoteAddress: string | undefined,
  headers: Record<string, string> = {},
  encrypted = false,
) => ({ headers, socket: { remoteAddress, encrypted } });

describe('callerAddress', () => {
  const behind = createCallerView(['10.0.0.0/8', '192.168.1.1', 'fd00::/8']);
  const cases: [what: string, remote: string | undefined, forwarded: string | undefined, address: string][] =
    [
      ['a caller without proxy', '203.0.113.9', undefined, '203.0.113.9'],
      ['a caller that writes the header itself', '203.0.113.9', '1.1.1.1', '203.0.113.9'],
      ['one behind a trusted proxy', '10.1.2.3', '203.0.113.9', '203.0.113.9'],
      ['one behind two', '192.168.1.1', '203.0.113.9, 10.9.9.9', '203.0.113.9'],
      ['one who writes before the proxy does', '10.1.2.3', '1.1.1.1, 203.0.113.9', '203.0.113.9'],
      ['one who writes a trusted address', '10.1.2.3', '10.0.0.1, 203.0.113.9', '203.0.113.9'],
      ['a proxy that says nothing', '10.1.2.3', undefined, '10.1.2.3'],
      ['a proxy that says what is no address', '10.1.2.3', 'unknown', '10.1.2.3'],
      ['what is no address before an address', '10.1.2.3', 'nonsense, 203.0.113.9', '203.0.113.9'],
      ['only trusted addresses', '10.1.2.3', '10.0.0.1, 10.0.0.2', '10.0.0.1'],
      ['IPv4 through an IPv6 socket', '::ffff:10.1.2.3', '::ffff:203.0.113.9', '203.0.113.9'],
      ['IPv6', 'fd00::1', '2001:db8::7', '2001:db8::7'],
      ['an address of the list is one address', '192.168.1.2', '1.1.1.1', '192.168.1.2'],
      ['a connection that is gone', undefined, '1.1.1.1', ''],
    ];
  for (const [what, remote, forwarded, address] of cases) {
    test(what, () => {
      const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
      assert.equal(behind.callerAddress(request(remote, headers)), address);
    });
  }

  test('without trusted proxies nothing is believed', () => {
    const direct = createCallerView([]);
    assert.equal(
      direct.callerAddress(request('::ffff:127.0.0.1', { 'x-forwarded-for': '1.1.1.1' })),
      '127.0.0.1',
    );
    assert.equal(direct.isSecure(request('127.0.0.1', { 'x-forwarded-proto': 'https' })), false);
    assert.equal(direct.isSecure(request('127.0.0.1', {}, true)), true);
  });

  test('a long list of addresses costs no more than reading it', () => {
    const begin = performance.now();
    behind.callerAddress(request('10.0.0.1', { 'x-forwarded-for': '10.0.0.2,'.repeat(1600) }));
    assert.ok(performance.now() - begin < 200);
  });
});

test('isSecure believes a trusted proxy, and its own connection otherwise', () => {
  const { isSecure } = createCallerView(['10.0.0.1']);
  assert.equal(isSecure(request('10.0.0.1', { 'x-forwarded-proto': 'https' })), true);
  assert.equal(isSecure(request('10.0.0.1', { 'x-forwarded-proto': 'https, http' })), false);
  assert.equal(isSecure(request('10.0.0.1', { 'x-forwarded-proto': 'http' }, true)), false);
  assert.equal(isSecure(request('10.0.0.1', {}, true)), true);
  assert.equal(isSecure(request('10.0.0.2', { 'x-forwarded-proto': 'https' })), false);
  assert.equal(isSecure(request('10.0.0.2', {}, true)), true);
});
