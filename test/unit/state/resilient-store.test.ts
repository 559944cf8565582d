import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import { hashKey } from '@er-gateway/shared/keys/hash-key';
import { createLogger } from '@er-gateway/shared/logger';
import { ResilientStore } from '@er-gateway/shared/state/resilient-store';
import type { KeyRecord } from '@er-gateway/shared/state/store';
import { waitFor } from '../../kit/wait-for.ts';
import { FakeStore } from './fake-store.ts';

const minute = { points: 100, windowSeconds: 60 };
const isUnavailable = (error: unknown) =>
  error instanceof RequestError && error.code === 'state_unavailable' && error.status === 503;

function keyRecord(key: string): KeyRecord {
  const hash = hashKey(key);
  return { hash, id: hash.slice(0, 16), name: key, role: 'user' };
}
const known = keyRecord('er-known-key');
const other = keyRecord('er-other-key');

describe('ResilientStore', () => {
  let inner: FakeStore;
  let clock: { ms: number };
  let store: ResilientStore;
  let lines: string[];
  beforeEach(() => {
    inner = new FakeStore();
    inner.sources.set('elsewhere', [known]);
    clock = { ms: 1_000_000 };
    lines = [];
    const logger = createLogger('test', 'info');
    logger.silent = true;
    mock.method(logger, 'warn', (message: string) => lines.push(message));
    mock.method(logger, 'info', (message: string) => lines.push(message));
    store = new ResilientStore({ store: inner, workers: 64, logger, now: () => clock.ms });
  });
  afterEach(() => store.close());

  it('asks once for a key within 2 s, and sees a removed key go after that', async () => {
    assert.deepEqual(await store.findKey(known.hash), known);
    inner.sources.clear();
    clock.ms += 1999;
    assert.deepEqual(await store.findKey(known.hash), known);
    assert.equal(inner.count('findKey'), 1);
    clock.ms += 1;
    assert.equal(await store.findKey(known.hash), null);
  });

  it('asks once for an unknown key within 1 s, and finds an added key after that', async () => {
    assert.equal(await store.findKey(other.hash), null);
    inner.sources.set('new', [other]);
    clock.ms += 999;
    assert.equal(await store.findKey(other.hash), null);
    assert.equal(inner.count('findKey'), 1);
    clock.ms += 1;
    assert.deepEqual(await store.findKey(other.hash), other);
  });

  it('asks once in 30 s while changes are told, and at once for a key that changed', async () => {
    inner.hearsChanges = true;
    assert.deepEqual(await store.findKey(known.hash), known);
    clock.ms += 29_999;
    assert.deepEqual(await store.findKey(known.hash), known);
    assert.equal(inner.count('findKey'), 1);
    inner.sources.set('elsewhere', [{ ...known, weight: 2 }]);
    inner.tellChange([known.hash]);
    assert.equal((await store.findKey(known.hash))?.weight, 2);
    inner.sources.clear();
    inner.tellChange([known.hash]);
    assert.equal(await store.findKey(known.hash), null);
  });

  it('asks again for all keys when news may have been missed, and bridges an outage all the same', async () => {
    inner.hearsChanges = true;
    await store.findKey(known.hash);
    inner.tellChange(null);
    inner.isAway = true;
    assert.deepEqual(await store.findKey(known.hash), known);
    assert.equal(inner.count('findKey'), 2);
  });

  it('does not keep an answer that a change has overtaken', async () => {
    inner.hearsChanges = true;
    const answer = store.findKey(known.hash);
    inner.sources.clear();
    inner.tellChange([known.hash]);
    await answer;
    assert.equal(await store.findKey(known.hash), null);
  });

  it('forgets at once what is withdrawn here, even when the store cannot be told', async () => {
    await store.publishKeys('here', [other]);
    assert.deepEqual(await store.findKey(other.hash), other);
    inner.isAway = true;
    await assert.rejects(store.publishKeys('here', []), isUnavailable);
    const answer = store.findKey(other.hash); // not from memory: it waits for the store
    await waitFor('the outage', () => !store.isStoreUp);
    inner.sources.clear();
    inner.comeUp();
    assert.equal(await answer, null);
  });

  it('lets known keys go on for 60 s with their share of the limit while the store is away', async () => {
    await store.findKey(known.hash);
    inner.isAway = true;
    const first = await store.consume(known.id, minute, 1);
    assert.deepEqual([first.isAllowed, first.limit, first.remaining], [true, 100, 1]);
    const second = await store.consume(known.id, minute, 1);
    assert.deepEqual([second.isAllowed, second.remaining], [true, 0]);

    clock.ms += 59_999;
    assert.deepEqual(await store.findKey(known.hash), known);
    await assert.rejects(store.consume(known.id, minute, 1), isUnavailable);
    assert.equal((await store.consume(other.id, minute, 1)).isAllowed, true);
    assert.equal((await store.consume(known.id, minute, 0)).isAllowed, true, 'asking costs nothing');
    clock.ms += 1;
    await assert.rejects(store.findKey(known.hash), isUnavailable);
    await assert.rejects(store.consume('a-third', minute, 1), isUnavailable);
  });

  it('refuses with 503, not 401, a key that it does not know while the store is away', async () => {
    inner.isAway = true;
    await store.consume(known.id, minute, 1); // begins the outage
    clock.ms += 1500;
    await assert.rejects(store.findKey(other.hash), isUnavailable);
  });

  it('sends an absent store nothing but probes', async () => {
    inner.isAway = true;
    await store.consume(known.id, minute, 1);
    clock.ms += 1500;
    await assert.rejects(store.findKey(other.hash), isUnavailable);
    await store.consume(known.id, minute, 1);
    await waitFor('a probe', () => inner.count('consume probe 1') >= 1);
    assert.equal(inner.count('findKey'), 0);
    assert.equal(inner.count(`consume ${known.id}`), 1, 'the one that began the outage');
  });

  it('lets calls that would be refused wait for a store that comes back soon', async () => {
    inner.isAway = true;
    await store.consume(known.id, { ...minute, points: 1 }, 1);
    const waiting = [store.consume(known.id, { ...minute, points: 1 }, 1), store.findKey(known.hash)];
    inner.comeUp();
    const [outcome, key] = await Promise.all(waiting);
    assert.deepEqual(outcome, { isAllowed: true, limit: 1, remaining: 1, resetMs: 60_000 });
    assert.deepEqual(key, known);
  });

  it('holds a call for 1.5 s at most', async () => {
    inner.isAway = true;
    await store.consume(known.id, minute, 1);
    clock.ms += 1400;
    const asked = performance.now();
    await assert.rejects(store.findKey(other.hash), isUnavailable);
    assert.ok(performance.now() - asked < 1000, 'the rest of 1.5 s');
  });

  it('finds out by itself that the store is back, and logs both ends of an outage once', async () => {
    inner.isAway = true;
    await Promise.all([1, 2, 3].map(() => store.consume(known.id, { ...minute, points: 1000 }, 1)));
    assert.equal(store.isStoreUp, false);
    inner.isAway = false;
    await waitFor('the end of the outage', () => store.isStoreUp);
    await store.consume(known.id, minute, 1);
    assert.deepEqual(lines, [
      'keys and limits cannot be asked for; this worker goes on with what it knows',
      'keys and limits are asked for again',
    ]);
  });

  it('does not give a fresh share in each of several outages', async () => {
    for (const expected of [1, 0]) {
      inner.isAway = true;
      assert.equal((await store.consume(known.id, minute, 1)).remaining, expected);
      inner.comeUp();
      await waitFor('the end of the outage', () => store.isStoreUp);
    }
    inner.isAway = true;
    await store.consume(other.id, minute, 1);
    clock.ms += 1500;
    await assert.rejects(store.consume(known.id, minute, 1), isUnavailable);
  });

  it('charges requests ahead, and nothing else that it counts', async () => {
    const plenty = { points: 1_000_000, windowSeconds: 60 };
    for (let sent = 0; sent < 100; sent++) await store.consume('failures', plenty, 1);
    assert.equal(inner.count('consume failures 1'), 100);
    for (let sent = 0; sent < 100; sent++) await store.consumeRequest('key', plenty, 1);
    assert.ok(inner.count('consume key') < 30, `${inner.count('consume key')} calls`);
  });

  it('is not put out by keys that cannot be published', async () => {
    inner.isAway = true;
    await assert.rejects(store.publishKeys('here', [other]), isUnavailable);
    assert.equal(store.isStoreUp, true);
  });
});
