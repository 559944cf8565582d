import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import { hashKey } from '@er-gateway/shared/keys/hash-key';
import { KeyDirectory } from '@er-gateway/shared/keys/key-directory';
import { createLogger } from '@er-gateway/shared/logger';
import type { KeyRecord } from '@er-gateway/shared/state/store';
import { waitFor } from '../../kit/wait-for.ts';
import { FakeStore } from '../state/fake-store.ts';

const source = 'host:/keys.json';

class FakeKeyFile extends EventEmitter<{ change: [] }> {
  records: ReadonlyMap<string, KeyRecord> = new Map();

  hold(...keys: string[]): void {
    this.records = new Map(keys.map(key => [hashKey(key), keyRecord(key)]));
    this.emit('change');
  }
}

function keyRecord(key: string): KeyRecord {
  const hash = hashKey(key);
  return { hash, id: hash.slice(0, 16), name: key, role: 'user' };
}

describe('KeyDirectory', () => {
  let keyFile: FakeKeyFile;
  let store: FakeStore;
  let directory: KeyDirectory;
  let warnings: string[];
  beforeEach(() => {
    keyFile = new FakeKeyFile();
    keyFile.hold('er-in-the-file');
    store = new FakeStore();
    const logger = createLogger('test', 'info');
    logger.silent = true;
    warnings = [];
    mock.method(logger, 'warn', (message: string) => warnings.push(message));
    directory = new KeyDirectory({ keyFile, store, source, logger });
    directory.start();
  });
  afterEach(() => directory.close());
  const published = () => (store.sources.get(source) ?? []).map(key => key.name);

  it('finds keys of the file without the store, others through it, and no others', async () => {
    store.sources.set('elsewhere', [keyRecord('er-of-another-host')]);
    assert.equal((await directory.find('er-in-the-file'))?.name, 'er-in-the-file');
    assert.equal(store.count('findKey'), 0);
    assert.equal((await directory.find('er-of-another-host'))?.name, 'er-of-another-host');
    assert.equal(await directory.find('er-of-nobody'), null);
    assert.equal(store.count('findKey'), 2);
  });

  it('does not bother the store with what cannot be a key', async () => {
    for (const text of ['', 'short', 'er- with spaces']) assert.equal(await directory.find(text), null);
    assert.equal(store.count('findKey'), 0);
  });

  it('does not say no for a store that cannot be asked', async () => {
    store.isAway = true;
    assert.equal((await directory.find('er-in-the-file'))?.name, 'er-in-the-file');
    await assert.rejects(directory.find('er-of-nobody'), { code: 'state_unavailable' });
  });

  it('publishes when the store comes up, when the file changes, and when the store comes back empty', async () => {
    store.comeUp();
    await waitFor('the keys', () => published().length === 1);
    keyFile.hold('er-in-the-file', 'er-added-later');
    await waitFor('the change', () => published().includes('er-added-later'));
    store.sources.clear();
    store.comeUp();
    await waitFor('the keys again', () => published().length === 2);
  });

  it('tries again until it succeeds, logging the first failure only, and publishes what the file holds then', async () => {
    store.isAway = true;
    keyFile.hold('er-not-yet-told');
    await waitFor('two attempts', () => store.count('publishKeys') >= 2);
    keyFile.hold('er-newest-of-all');
    store.isAway = false;
    await waitFor('the keys', () => published().includes('er-newest-of-all'));
    assert.deepEqual(warnings, ['API keys could not be published; trying again']);
  });

  it('publishes nothing after its end', async () => {
    directory.close();
    keyFile.hold('er-too-late');
    store.comeUp();
    assert.equal(store.count('publishKeys'), 0);
  });
});
