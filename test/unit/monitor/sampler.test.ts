import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSampler } from '../../../apps/monitor/src/sampler.ts';

test('a value is read once for all who ask while it is young', async () => {
  let readings = 0;
  const sample = createSampler(async () => {
    readings += 1;
    return readings;
  }, 60_000);
  assert.deepEqual(await Promise.all([sample(), sample(), sample()]), [1, 1, 1]);
  assert.equal(await sample(), 1);
});

test('a reading that hangs holds nobody up, and is not begun twice', async () => {
  let readings = 0;
  const sample = createSampler(() => {
    readings += 1;
    return new Promise<number>(() => {});
  }, 0);
  assert.deepEqual(await Promise.all([sample(), sample()]), [null, null]);
  assert.equal(await sample(), null);
  assert.equal(readings, 1);
});

test('a reading that fails gives null, and the next one is tried', async () => {
  const results = [Promise.reject(new Error('no')), Promise.resolve(5)];
  const sample = createSampler(() => results.shift() as Promise<number>, -1);
  assert.equal(await sample(), null);
  assert.equal(await sample(), 5);
});
