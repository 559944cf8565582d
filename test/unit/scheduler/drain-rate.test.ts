import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DrainRate } from '../../../apps/scheduler/src/batch/drain-rate.ts';

/** Two calls at a time, each of 100 ms, for four seconds. */
function run(rate: DrainRate, from: number, tokens: number, isFull = true, isBacklogged = true): number {
  let now = from;
  for (let call = 0; call < 80; call++) {
    now += 50;
    rate.ended(now, { startedAt: now - 100, tokens, isBacklogged, isFull });
  }
  return now;
}

test('calls that overlap are counted over the time that passed, small ones too', () => {
  const rate = new DrainRate();
  run(rate, 0, 50, false);
  assert.ok(Math.abs(rate.tokensPerSecond - 1000) < 100, `${rate.tokensPerSecond} tokens/s`);
});

test('only full calls show what a model can do at most', () => {
  const rate = new DrainRate();
  const now = run(rate, 0, 50, false);
  assert.equal(rate.isCapacity, false);
  run(rate, now, 500);
  assert.equal(rate.isCapacity, true);
});

test('time in which nothing waits says nothing', () => {
  const rate = new DrainRate();
  let now = run(rate, 0, 50, true, false);
  assert.equal(rate.tokensPerSecond, 0);
  now = run(rate, now + 60_000, 50);
  assert.ok(rate.tokensPerSecond > 900, `${rate.tokensPerSecond} tokens/s`);
});

test('calls that are not full do not lower what full ones have shown; full ones do', () => {
  const rate = new DrainRate();
  let now = run(rate, 0, 500);
  const known = rate.tokensPerSecond;
  now = run(rate, now, 50, false);
  assert.equal(rate.tokensPerSecond, known);
  run(rate, now, 50);
  assert.ok(rate.tokensPerSecond < known);
});
