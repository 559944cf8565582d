import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RecentMap } from '@er-gateway/shared/state/recent-map';

describe('RecentMap', () => {
  it('forgets the entry that was unused for longest', () => {
    const map = new RecentMap<string, number>(2);
    map.set('a', 1);
    map.set('b', 2);
    assert.equal(map.get('a'), 1);
    map.set('c', 3);
    assert.deepEqual([map.get('a'), map.get('b'), map.get('c')], [1, undefined, 3]);
    assert.equal(map.size, 2);
  });

  it('replaces without forgetting another', () => {
    const map = new RecentMap<string, number>(2);
    map.set('a', 1);
    map.set('b', 2);
    map.set('b', 3);
    map.delete('nothing');
    assert.deepEqual([map.get('a'), map.get('b')], [1, 3]);
  });
});
