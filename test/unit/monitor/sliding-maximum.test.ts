import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SlidingMaximum } from '@er-gateway/shared/metrics/sliding-maximum';

test('the largest value of the window is told to everybody who asks, until it is too old', () => {
  const largest = new SlidingMaximum(60);
  assert.equal(largest.at(0), 0);
  largest.add(5, 0);
  largest.add(9, 10);
  largest.add(2, 20);
  largest.add(4, 30);
  assert.deepEqual([largest.at(30), largest.at(30), largest.at(70)], [9, 9, 9]);
  assert.equal(largest.at(71), 4);
  assert.equal(largest.at(91), 0);
  largest.add(1, 100);
  assert.equal(largest.at(100), 1);
});
