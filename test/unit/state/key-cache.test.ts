import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { KeyCache } from '@er-gateway/shared/state/key-cache';
import type { KeyRecord } from '@er-gateway/shared/state/store';

const record = (hash: string): KeyRecord => ({ hash, id: hash, name: hash, role: 'user' });

describe('KeyCache', () => {
  it('keeps found keys through a flood of invented ones', () => {
    const cache = new KeyCache(() => 0);
    cache.remember('good', record('good'));
    for (let index = 0; index < 30_000; index++) cache.remember(`invented-${index}`, null);
    assert.deepEqual(cache.recent('good', false), record('good'));
    assert.equal(cache.recent('invented-29999', false), null);
    assert.equal(cache.recent('invented-0', false), undefined, 'bounded');
  });

  it('takes no removed key for a stale one', () => {
    const cache = new KeyCache(() => 0);
    cache.remember('gone', record('gone'));
    cache.remember('gone', null);
    assert.equal(cache.stale('gone'), null);
    assert.equal(cache.recent('gone', false), null);
  });
});
