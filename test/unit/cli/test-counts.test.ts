import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countTests } from '../../../apps/cli/src/test.ts';

test('cancelled tests are failures, todo tests are skipped ones, comments of tests are no totals', () => {
  const tap = [
    'TAP version 13',
    '# Subtest: # pass 99',
    'ok 1 - # pass 99',
    '1..7',
    '# tests 7',
    '# suites 0',
    '# pass 3',
    '# fail 1',
    '# cancelled 1',
    '# skipped 1',
    '# todo 1',
    '# duration_ms 10',
  ].join('\n');
  assert.deepEqual(countTests(tap), { passed: 3, failed: 2, skipped: 2 });
});

test('a report that broke off counts nothing', () => {
  assert.deepEqual(countTests('TAP version 13\n'), { passed: 0, failed: 0, skipped: 0 });
});
