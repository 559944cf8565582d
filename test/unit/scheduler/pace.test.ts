import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Pace } from '../../../apps/scheduler/src/batch/pace.ts';

const batchOf = (items: number) => ({ items, isFull: false, isShared: true });
const full = { items: 64, isFull: true, isShared: true };

/** A pace that has seen calls of 20 ms with this many items in the system. The last one ended at 1000. */
function paceAt(itemsInSystem: number): Pace {
  const pace = new Pace(null);
  for (let call = 0; call < 50; call++) pace.ended(1000, 20, itemsInSystem);
  return pace;
}

describe('a server that rests', () => {
  test('gets work at once', () => {
    assert.equal(new Pace(null).waitMs(5, 0, 1, batchOf(1)), 0);
    assert.equal(paceAt(64).waitMs(1500, 0, 1, batchOf(1)), 0);
  });

  test('gets the next text of a lone caller at once', () => {
    const pace = paceAt(1);
    assert.equal(pace.waitMs(1000, 0, 1, batchOf(1)), 0);
    assert.equal(pace.waitMs(1000, 0, 2, batchOf(1)), 0);
  });
});

describe('a busy server', () => {
  test('gets its next call when those are back whom it serves', () => {
    const pace = paceAt(64);
    assert.equal(pace.waitMs(1004, 0, 1, batchOf(40)), 16);
    assert.equal(pace.waitMs(1004, 0, 1, batchOf(57)), 0);
  });

  test('waits for its part of them when calls overlap', () => {
    const pace = paceAt(64);
    assert.equal(pace.waitMs(1004, 1, 2, batchOf(20)), 6);
    assert.equal(pace.waitMs(1004, 1, 2, batchOf(28)), 0);
  });

  test('waits no longer than a window for who does not come back', () => {
    assert.equal(paceAt(64).waitMs(1020, 0, 1, batchOf(1)), 0);
    assert.equal(paceAt(64).waitMs(1010, 1, 2, batchOf(1)), 0);
  });

  test('counts the window from the last start too', () => {
    const pace = paceAt(64);
    pace.started(1008, 2, 64);
    assert.equal(pace.waitMs(1010, 1, 2, batchOf(3)), 8);
  });

  test('does not wait again for who did not come back within a window', () => {
    const pace = paceAt(256);
    assert.equal(pace.waitMs(1001, 0, 2, batchOf(1)), 9);
    pace.started(1010, 2, 1);
    pace.ended(1015, 5, 1);
    assert.equal(pace.waitMs(1016, 0, 2, batchOf(1)), 0);
  });

  test('does not forget who is still on the way when a call begins', () => {
    const pace = paceAt(64);
    pace.started(1004, 2, 40);
    pace.ended(1005, 20, 64);
    assert.equal(pace.waitMs(1006, 1, 2, batchOf(20)), 9);
  });

  test('takes a full batch at once, but not without a slot', () => {
    assert.equal(paceAt(256).waitMs(1001, 1, 2, full), 0);
    assert.equal(paceAt(256).waitMs(1001, 2, 2, full), Number.POSITIVE_INFINITY);
  });
});

test('the window follows the service time of late', () => {
  const pace = paceAt(8);
  assert.ok(Math.abs(pace.windowMs(2) - 10) < 0.01);
  for (let call = 0; call < 50; call++) pace.ended(1000, 100, 8);
  assert.ok(Math.abs(pace.windowMs(2) - 50) < 0.01);
  assert.ok(Math.abs(pace.windowMs(1) - 100) < 0.01);
});

test('a fixed window stays, and is waited out', () => {
  const pace = new Pace(8);
  pace.ended(1000, 500, 4);
  assert.equal(pace.windowMs(2), 8);
  assert.equal(pace.waitMs(1003, 0, 2, batchOf(4)), 5);
});

test('calls that hold one job each do not wait for anything to fill', () => {
  const pace = paceAt(64);
  const alone = { items: 1, isFull: false, isShared: false };
  assert.equal(pace.waitMs(1000, 10, 2, alone), 0);
  assert.equal(pace.waitMs(1000, 64, 2, alone), Number.POSITIVE_INFINITY);
});
