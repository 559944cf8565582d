import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  bytes,
  duration,
  milliseconds,
  orDash,
  percent,
  rate,
  successPercent,
  whole,
} from '../../../apps/monitor/src/page/format.ts';

test('figures of the page carry their units, and only as many digits as mean something', () => {
  assert.deepEqual([0, 0.254, 7.36, 1204.4].map(rate), ['0', '0.25', '7.4', '1,204']);
  assert.deepEqual([0.42, 37.4, 1234].map(milliseconds), ['0.4 ms', '37 ms', '1.2 s']);
  assert.deepEqual([512, 1536, 80 * 1024 ** 3].map(bytes), ['512 B', '1.5 KiB', '80 GiB']);
  assert.deepEqual([-5, 45_000, 720_000, 5 * 3600e3, 3 * 86_400e3].map(duration), [
    '0 s',
    '45 s',
    '12 min',
    '5 h',
    '3 d',
  ]);
  assert.deepEqual([percent(0.374), whole(12345.6)], ['37 %', '12,346']);
  assert.deepEqual([orDash(null, whole), orDash(0, whole)], ['–', '0']);
});

test('99.996 % of successes do not read as all', () => {
  assert.deepEqual([1, 0.99996, 0.5].map(successPercent), ['100 %', '99.99 %', '50.00 %']);
});
