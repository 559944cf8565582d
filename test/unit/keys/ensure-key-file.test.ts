import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ConfigError } from '@er-gateway/shared/errors/config-error';
import { ensureKeyFile, newKey } from '@er-gateway/shared/keys/ensure-key-file';

const processes = 16;
const files = 50;

describe('ensureKeyFile', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'er-keys-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('makes a file for this user alone with one admin key', () => {
    const file = join(folder, 'deep', 'keys.json');
    const { created, key } = ensureKeyFile(file);
    assert.equal(created, true);
    const { keys } = JSON.parse(readFileSync(file, 'utf8'));
    assert.deepEqual(
      keys.map(({ created_at, ...rest }: { created_at: string }) => rest),
      [{ key, name: 'default', role: 'admin' }],
    );
    assert.ok(Math.abs(Date.parse(keys[0].created_at) - Date.now()) < 60_000);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(join(folder, 'deep')), ['keys.json'], 'no draft is left');
  });

  it('touches no file that is there, whatever is in it', () => {
    const file = join(folder, 'keys.json');
    writeFileSync(file, 'broken');
    assert.deepEqual(ensureKeyFile(file), { created: false, key: null });
    assert.equal(readFileSync(file, 'utf8'), 'broken');
  });

  it('names the setting when the file cannot be made', () => {
    writeFileSync(join(folder, 'file'), '');
    assert.throws(
      () => ensureKeyFile(join(folder, 'file', 'keys.json')),
      (error: unknown) => error instanceof ConfigError && /ER_KEYS_FILE/.test(error.message),
    );
  });

  it(`lets one of ${processes} processes win each of ${files} races, and all see its whole file`, async () => {
    const children = Array.from({ length: processes }, () =>
      fork(join(import.meta.dirname, 'key-file-racer.ts'), [folder, `${files}`]),
    );
    await Promise.all(children.map(messageOf));
    mkdirSync(join(folder, 'race'));
    const answers = children.map(messageOf);
    for (const child of children) child.send('go');
    const results = (await Promise.all(answers)) as RaceEntry[][];
    await Promise.all(children.map(child => child.exitCode ?? once(child, 'exit')));

    for (let index = 0; index < files; index++) {
      const winners = results.map(result => result[index]).filter(entry => entry?.created);
      assert.equal(winners.length, 1, `file ${index}`);
      const { keys } = JSON.parse(readFileSync(join(folder, 'race', `${index}.json`), 'utf8'));
      assert.equal(winners[0]?.key, keys[0].key);
      for (const result of results) assert.equal(result[index]?.read, keys[0].key);
    }
    assert.equal(readdirSync(join(folder, 'race')).length, files, 'no draft is left');
  });
});

interface RaceEntry {
  created: boolean;
  key: string | null;
  read: string;
}

/** What a process says next; fails when it ends without a word. */
function messageOf(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', code => reject(new Error(`a process of the race ended with ${code}`)));
  });
}

describe('newKey', () => {
  it('is er- and 40 base62 characters, all of them about as often', () => {
    const counts = new Map<string, number>();
    for (let round = 0; round < 1000; round++) {
      const key = newKey();
      assert.match(key, /^er-[0-9A-Za-z]{40}$/);
      for (const character of key.slice(3)) counts.set(character, (counts.get(character) ?? 0) + 1);
    }
    assert.equal(counts.size, 62);
    // 645 expected, standard deviation 25: eight of them do not happen.
    for (const [character, count] of counts) assert.ok(Math.abs(count - 645) < 200, `${character}: ${count}`);
  });
});
