import assert from 'node:assert/strict';
import { test } from 'node:test';
import { joinWindows, toWindows } from '../../../apps/engine/src/model/windows.ts';

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

test('toWindows() keeps what fits in one', () => {
  assert.deepEqual(toWindows(upTo(4), 4), [[0, 1, 2, 3]]);
});

test('toWindows() cuts into as few as possible, about equally long, and loses nothing', () => {
  for (const length of [5, 9, 127, 128, 129, 2048]) {
    const windows = toWindows(upTo(length), 128);
    const sizes = windows.map(window => window.length);
    assert.deepEqual(windows.flat(), upTo(length));
    assert.equal(windows.length, Math.ceil(length / 128));
    assert.ok(Math.max(...sizes) <= 128 && Math.max(...sizes) - Math.min(...sizes) <= 1, sizes.join());
  }
});

test('joinWindows() leaves the vector of a single window alone', () => {
  const vector = Float32Array.of(0.6, 0.8);
  assert.equal(joinWindows([vector], [[1]]), vector);
});

test('joinWindows() weights by tokens and gives length 1', () => {
  const [x = 0, y = 0] = joinWindows([Float32Array.of(1, 0), Float32Array.of(0, 1)], [[1, 2, 3], [4]]);
  assert.ok(Math.abs(x / y - 3) < 1e-6);
  assert.ok(Math.abs(Math.hypot(x, y) - 1) < 1e-6);
});
