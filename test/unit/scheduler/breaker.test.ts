import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Breaker } from '../../../apps/scheduler/src/upstream/breaker.ts';

const failTimes = (breaker: Breaker, times: number, now = 0) => {
  for (let failure = 0; failure < times; failure++) breaker.failed(now);
};

test('failures in a row open it, and a success in between starts the row anew', () => {
  const breaker = new Breaker();
  failTimes(breaker, 4);
  breaker.succeeded();
  failTimes(breaker, 4);
  assert.equal(breaker.isOpen(1), false);
  failTimes(breaker, 1);
  assert.equal(breaker.isOpen(1), true);
  failTimes(breaker, 3);
  breaker.trialFailed(600);
  assert.equal(breaker.openings, 1, 'it stayed open');
});

test('after its time it wants a trial; a good one closes it', () => {
  const breaker = new Breaker();
  failTimes(breaker, 5);
  assert.equal(breaker.isOpen(500), false);
  assert.equal(breaker.needsTrial, true);
  breaker.trialSucceeded();
  assert.equal(breaker.needsTrial, false);
});

test('each failed trial doubles the time, up to half a minute', () => {
  const breaker = new Breaker();
  failTimes(breaker, 5);
  breaker.trialFailed(1000);
  assert.deepEqual([breaker.isOpen(1999), breaker.isOpen(2000)], [true, false]);
  for (let trial = 0; trial < 20; trial++) breaker.trialFailed(0);
  assert.deepEqual([breaker.isOpen(29_999), breaker.isOpen(30_000)], [true, false]);
});
