import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hashKey } from '@er-gateway/shared/keys/hash-key';
import type { KeyChange } from '@er-gateway/shared/state/store';
import { KeyAdmin } from '../../../apps/gateway/src/keys/key-admin.ts';
import { MemoryKeys } from '../../../apps/state/src/memory-keys.ts';

const nobody = () => {};

/** An administration over keys in memory; `change` is how a change reaches them. */
function adminOf(change = (keys: MemoryKeys, wanted: KeyChange) => keys.change(wanted)) {
  const keys = new MemoryKeys();
  const admin = new KeyAdmin({
    listKeys: async () => keys.list(),
    changeKeys: async wanted => change(keys, wanted),
  });
  return { keys, admin };
}

describe('KeyAdmin', () => {
  it('keeps texts that were replaced before until their own end, the four that go on for longest', async () => {
    const { keys, admin } = adminOf();
    const { id, key } = await admin.create({ name: 'web', role: 'user' }, nobody);
    const texts = [key];
    for (let grace = 600; grace <= 1000; grace += 100)
      texts.push((await admin.rotate(id, grace, nobody)).key);
    const found = () => texts.map(text => keys.find(hashKey(text)) !== null);
    assert.deepEqual(found(), [false, true, true, true, true, true]);
    const { old_key_valid_until: until } = await admin.show(id);
    assert.ok(Date.parse(until ?? '') - Date.now() > 990_000, 'the last end is shown');
    texts.push((await admin.rotate(id, 0, nobody)).key);
    assert.deepEqual(found(), [false, false, false, false, false, false, true], 'without a grace all end');
  });

  it('rotates once when its call is sent again because the answer was lost', async () => {
    const { keys, admin } = adminOf((store, change) => {
      store.change(change);
      return store.change(change);
    });
    const { id, key } = await admin.create({ name: 'web', role: 'user' }, nobody);
    const fresh = await admin.rotate(id, 600, nobody);
    assert.equal(keys.list().length, 2);
    assert.equal(keys.find(hashKey(fresh.key))?.grace_ends_at, undefined);
    assert.notEqual(keys.find(hashKey(key))?.grace_ends_at, undefined);
    await admin.revoke(id, nobody);
    assert.deepEqual(keys.list(), []);
  });

  it('revokes the text too that a rotation put in place before the revocation came', async () => {
    let isOvertaken = false;
    const { keys, admin } = adminOf((store, change) => {
      if (isOvertaken && change.put.length === 0) {
        isOvertaken = false;
        const [old] = change.seen;
        assert.ok(old);
        store.change({ put: [{ ...old, hash: hashKey('er-fresh') }], drop: [old.hash], seen: [old] });
      }
      return store.change(change);
    });
    const { id } = await admin.create({ name: 'web', role: 'user' }, nobody);
    isOvertaken = true;
    assert.equal((await admin.revoke(id, nobody)).id, id);
    assert.equal(isOvertaken, false);
    assert.deepEqual(keys.list(), []);
  });

  it('tells of a change before the store is asked, and what became of it', async () => {
    const told: string[] = [];
    const { admin } = adminOf((store, change) => {
      told.push('asked');
      return store.change(change);
    });
    await admin.create({ name: 'web', role: 'user' }, (ids, applied) =>
      told.push(`${ids.length} ${applied}`),
    );
    assert.deepEqual(told, ['1 unknown', 'asked', '1 true']);
  });
});
