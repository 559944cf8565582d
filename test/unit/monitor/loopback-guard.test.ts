import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refuseForeignPages } from '../../../apps/monitor/src/loopback-guard.ts';

test('only names of this host with the port pass', () => {
  for (const host of ['localhost:2049', 'LocalHost:2049', '127.0.0.1:2049', '[::1]:2049']) {
    assert.equal(refuseForeignPages({ host }, 2049), null, host);
  }
  const foreign = [
    'localhost',
    'localhost:80',
    'localhost:2049.example',
    'example:2049',
    '127.0.0.1.nip.example:2049',
    '',
  ];
  for (const host of foreign) assert.equal(refuseForeignPages({ host }, 2049)?.status, 403, host);
  assert.equal(refuseForeignPages({}, 2049)?.status, 403);
});

test('requests that a browser marks as of another site do not pass', () => {
  const host = 'localhost:2049';
  for (const site of ['same-origin', 'none']) {
    assert.equal(refuseForeignPages({ host, 'sec-fetch-site': site }, 2049), null, site);
  }
  for (const site of ['cross-site', 'same-site', 'anything']) {
    assert.equal(refuseForeignPages({ host, 'sec-fetch-site': site }, 2049)?.status, 403, site);
  }
});
