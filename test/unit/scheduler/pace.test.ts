import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pace } from '../../../apps/scheduler/src/batch/pace.ts';

const part = { isFull: false, isShared: true };
const full = { isFull: true, isShared: true };

test('an idle server gets work at once, whatever happened before', () => {
  const pace = new Pace({ slots: 2, windowMs: null });
  pace.started(1000);
  pace.ended(50);
  assert.equal(pace.waitMs(1001, 0, part), 0);
});

test('a busy server gets its next call a part of the service time after the last one', () => {
  const pace = new Pace({ slots: 2, windowMs: null });
  pace.ended(20);
  pace.started(1000);
  assert.equal(pace.windowMs, 10);
  assert.equal(pace.waitMs(1004, 1, part), 6);
  assert.equal(pace.waitMs(1010, 1, part), 0);
  assert.equal(pace.waitMs(1500, 1, part), 0);
});

test('a full batch does not wait for the window, but for a slot', () => {
  const pace = new Pace({ slots: 2, windowMs: null });
  pace.ended(20);
  pace.started(1000);
  assert.equal(pace.waitMs(1001, 1, full), 0);
  assert.equal(pace.waitMs(1001, 2, full), Number.POSITIVE_INFINITY);
});

test('the window follows the service time of late', () => {
  const pace = new Pace({ slots: 2, windowMs: null });
  for (let call = 0; call < 50; call++) pace.ended(10);
  assert.ok(Math.abs(pace.windowMs - 5) < 0.01);
  for (let call = 0; call < 50; call++) pace.ended(100);
  assert.ok(Math.abs(pace.windowMs - 50) < 0.01);
});

test('a fixed window stays', () => {
  const pace = new Pace({ slots: 2, windowMs: 8 });
  pace.ended(500);
  assert.equal(pace.windowMs, 8);
});

test('calls that hold one job each do not wait for anything to fill', () => {
  const pace = new Pace({ slots: 2, windowMs: null });
  pace.ended(20);
  pace.started(1000);
  assert.equal(pace.waitMs(1000, 10, { isFull: false, isShared: false }), 0);
  assert.equal(pace.waitMs(1000, 64, { isFull: false, isShared: false }), Number.POSITIVE_INFINITY);
});
