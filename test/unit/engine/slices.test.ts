import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Call, takeSlice } from '../../../apps/engine/src/model/slices.ts';

interface NamedCall extends Call {
  name: string;
}
const call = (name: string, ...lengths: number[]): NamedCall => ({
  name,
  windows: lengths.map(length => new Array<number>(length).fill(7)),
  next: 0,
});
const take = (calls: NamedCall[], maxRows: number, maxPaddedTokens: number) =>
  takeSlice(calls, { maxRows, maxPaddedTokens }).map(item => `${item.call.name}${item.position}`);

test('takeSlice() takes one list of each call in turn', () => {
  const calls = [call('big', 1, 1, 1, 1, 1), call('small', 1)];
  assert.deepEqual(take(calls, 4, 100), ['big0', 'small0', 'big1', 'big2']);
  assert.deepEqual(take(calls, 4, 100), ['big3', 'big4']);
  assert.deepEqual(take(calls, 4, 100), []);
});

test('takeSlice() counts the padding to the longest list', () => {
  const calls = [call('a', 2, 2, 10, 2)];
  assert.deepEqual(take(calls, 100, 12), ['a0', 'a1']);
  assert.deepEqual(take(calls, 100, 12), ['a2']);
  assert.deepEqual(take(calls, 100, 12), ['a3']);
});

test('takeSlice() takes a list that is over the limit alone', () => {
  assert.deepEqual(take([call('a', 500)], 4, 100), ['a0']);
});
