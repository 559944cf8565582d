import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cutSlices, SliceQueue } from '../../../apps/scheduler/src/tokenize/slice-queue.ts';

test('slices hold texts in order up to the limit, and a longer text by itself', () => {
  assert.deepEqual(cutSlices(['aa', 'bb', 'c', 'dddddddd', 'e', ''], 5), [
    { texts: ['aa', 'bb', 'c'], start: 0 },
    { texts: ['dddddddd'], start: 3 },
    { texts: ['e', ''], start: 4 },
  ]);
});

test('requests take turns slice by slice', () => {
  const [large, small] = [{ name: 'large' }, { name: 'small' }];
  const queue = new SliceQueue<{ name: string }>();
  queue.add('key', large, cutSlices(['1', '2', '3', '4'], 1));
  queue.add('key', small, cutSlices(['5', '6'], 1));
  const order: string[] = [];
  for (let turn = queue.take(); turn !== undefined; turn = queue.take())
    order.push(`${turn.request.name} ${turn.slice.texts}`);
  assert.deepEqual(order, ['large 1', 'small 5', 'large 2', 'small 6', 'large 3', 'large 4']);
});

test('a request that is removed has no more turns', () => {
  const [gone, stays] = [{}, {}];
  const queue = new SliceQueue<object>();
  queue.add('key', gone, cutSlices(['1', '2'], 1));
  queue.add('key', stays, cutSlices(['3'], 1));
  queue.take();
  queue.remove(gone);
  assert.equal(queue.take()?.request, stays);
  assert.equal(queue.take(), undefined);
});

test('keys take turns, however many requests each has', () => {
  const queue = new SliceQueue<{ name: string }>();
  for (const name of ['1', '2', '3'])
    queue.add('greedy', { name: `greedy ${name}` }, cutSlices(['a', 'b'], 1));
  queue.add('modest', { name: 'modest' }, cutSlices(['c', 'd'], 1));
  const order: string[] = [];
  for (let turn = queue.take(); turn !== undefined; turn = queue.take()) order.push(turn.request.name);
  assert.deepEqual(order.slice(0, 4), ['greedy 1', 'modest', 'greedy 2', 'modest']);
  assert.equal(order.length, 8);
});
