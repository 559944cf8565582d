import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cacheKey, ItemCache } from '../../../apps/scheduler/src/cache/item-cache.ts';

const ids = (...values: number[]) => ({ kind: 'ids', ids: Int32Array.from(values) }) as const;

test('equal token ids have one name however they are held; other scopes, revisions and ids have others', () => {
  const key = cacheKey({ scope: 'a', revision: 'm1', input: ids(1, 2, 3) });
  assert.equal(cacheKey({ scope: 'a', revision: 'm1', input: { kind: 'ids', ids: [1, 2, 3] } }), key);
  const parts = [Int32Array.of(1), new Int32Array(0), Int32Array.of(0, 2, 3).subarray(1)];
  assert.equal(cacheKey({ scope: 'a', revision: 'm1', input: { kind: 'parts', parts } }), key);
  const others = [
    cacheKey({ scope: 'b', revision: 'm1', input: ids(1, 2, 3) }),
    cacheKey({ scope: 'a', revision: 'm2', input: ids(1, 2, 3) }),
    cacheKey({ scope: 'a', revision: 'm1', input: ids(1, 2) }),
    cacheKey({ scope: 'a', revision: 'm1', input: { kind: 'text', text: '1,2,3' } }),
  ];
  assert.equal(new Set([key, ...others]).size, 5);
});

test('pairs are named by query, document and instruction, and cannot run into each other', () => {
  const keyOf = (query: string, document: string, instruction: string | null) =>
    cacheKey({ scope: 'a', revision: 'm', input: { kind: 'pair', query, document, instruction } });
  const keys = [
    keyOf('ab', 'c', null),
    keyOf('a', 'bc', null),
    keyOf('ab', 'c', 'x'),
    keyOf('c', 'ab', null),
  ];
  assert.equal(new Set(keys).size, 4);
});

test('the least recently used entries go when the bytes are used up', () => {
  const cache = new ItemCache(10_000);
  const result = () => ({ vector: new Uint8Array(2000), tokens: 3 });
  for (const name of ['a', 'b', 'c', 'd']) cache.set(name, result());
  cache.get('a');
  cache.set('e', result());
  assert.equal(cache.get('b'), undefined);
  assert.ok(cache.get('a'));
  assert.ok(cache.bytes <= 10_000);
});

test('a cache of 0 bytes is off', () => {
  const cache = new ItemCache(0);
  cache.set('a', { tokens: 1 });
  assert.deepEqual([cache.isOn, cache.get('a')], [false, undefined]);
});
