import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cacheKey, ItemCache } from '../../../apps/scheduler/src/cache/item-cache.ts';
import { ServedRevision } from '../../../apps/scheduler/src/cache/served-revision.ts';
import { joinVectors } from '../../../apps/scheduler/src/vectors.ts';

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

test('a text never has the name of token ids, whatever its characters', () => {
  const text = cacheKey({ scope: 'a', revision: 'm', input: { kind: 'text', text: '\0\0\0' } });
  const asText = cacheKey({ scope: 'a', revision: 'm', input: { kind: 'text', text: 't\0\0\0' } });
  assert.equal(new Set([text, asText, cacheKey({ scope: 'a', revision: 'm', input: ids(116) })]).size, 3);
});

test('the revision of a server that is run by others is told by its numbers', () => {
  const revision = new ServedRevision(() => '');
  const first = Float32Array.of(0.6, 0.8, 0);
  revision.answered(first);
  const name = revision.name;
  assert.ok(name.length <= 16);
  revision.answered(first.map(value => value + 0.002));
  assert.equal(revision.name, name, 'the same model on another server');
  revision.answered(Float32Array.of(0.8, 0.6, 0));
  assert.notEqual(revision.name, name);
});

test('the revision changes with the files of the checkpoint', () => {
  let files = 'model.safetensors:1:1';
  const revision = new ServedRevision(() => files);
  const name = revision.name;
  revision.refresh();
  assert.equal(revision.name, name);
  files = 'model.safetensors:1:2';
  revision.refresh();
  assert.notEqual(revision.name, name);
});

test('vectors of different sizes are an error, never an answer', () => {
  const [long, short] = [new Uint8Array(16), new Uint8Array(8)];
  assert.throws(() => joinVectors([long, short], null), { code: 'upstream_failed' });
  assert.throws(() => joinVectors([long, short], 1), { code: 'upstream_failed' });
  assert.equal(joinVectors([long, long], 2).vectors.byteLength, 16);
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
