import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import { hashKey } from '@er-gateway/shared/keys/hash-key';
import { KeyFile } from '@er-gateway/shared/keys/key-file';
import { createLogger, type Logger } from '@er-gateway/shared/logger';
import { waitFor } from '../../kit/wait-for.ts';

const [one, two] = ['er-first-key', 'er-second-key'];

describe('KeyFile', () => {
  let folder: string;
  let file: string;
  let logger: Logger;
  let errors: string[];
  let warnings: string[];
  let keyFile: KeyFile | undefined;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'er-keys-'));
    file = join(folder, 'keys.json');
    logger = createLogger('test', 'error');
    logger.silent = true;
    errors = [];
    warnings = [];
    mock.method(logger, 'error', (_message: string, fields: { problem: string }) =>
      errors.push(fields.problem),
    );
    mock.method(logger, 'warn', (message: string) => warnings.push(message));
  });
  afterEach(() => {
    keyFile?.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const write = (keys: string[], mode = 0o600) => writeFileSync(file, JSON.stringify({ keys }), { mode });
  const open = (): KeyFile => {
    keyFile = new KeyFile(file, logger);
    return keyFile;
  };
  const hashesOf = ({ records }: KeyFile) => [...records.keys()];

  it('sees added and removed keys within 2 s of an edit, in place or by a new file', async () => {
    write([one]);
    const opened = open();
    let changes = 0;
    opened.on('change', () => {
      changes += 1;
    });
    opened.watch();
    write([one, two]);
    await waitFor('the added key', () => opened.records.has(hashKey(two)), { timeoutMs: 2000 });
    writeFileSync(`${file}.new`, JSON.stringify([two]), { mode: 0o600 });
    renameSync(`${file}.new`, file);
    await waitFor('the removal', () => !opened.records.has(hashKey(one)), { timeoutMs: 2000 });
    assert.deepEqual(hashesOf(opened), [hashKey(two)]);
    assert.equal(changes, 2);
  });

  it('keeps the last good keys through a broken edit, and logs it once', () => {
    write([one]);
    const opened = open();
    writeFileSync(file, '{"keys": [');
    opened.refresh();
    opened.refresh();
    assert.deepEqual(hashesOf(opened), [hashKey(one)]);
    assert.deepEqual(errors, [`${file}: is not valid JSON at line 1, column 11`]);
    write([two]);
    opened.refresh();
    assert.deepEqual(hashesOf(opened), [hashKey(two)]);
  });

  it('keeps the keys of a deleted file, logs it once, makes none anew, and reads the one that comes', () => {
    write([one]);
    const opened = open();
    rmSync(file);
    opened.refresh();
    opened.refresh();
    assert.deepEqual(hashesOf(opened), [hashKey(one)]);
    assert.deepEqual(errors, [`${file}: cannot be read (it is not there)`]);
    assert.throws(() => statSync(file), { code: 'ENOENT' });
    write([two]);
    opened.refresh();
    assert.deepEqual(hashesOf(opened), [hashKey(two)]);
  });

  it('says nothing when the file was written again with the same keys', () => {
    write([one]);
    const opened = open();
    opened.on('change', () => assert.fail('nothing changed'));
    writeFileSync(file, JSON.stringify({ note: 'same key', keys: [one] }));
    opened.refresh();
    assert.deepEqual([errors, warnings], [[], []]);
  });

  it('takes other users off the file, with a warning', () => {
    write([one]);
    chmodSync(file, 0o644);
    open();
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.deepEqual(warnings, ['API key file was open to other users; its mode is 0600 now']);
  });

  it('throws ConfigError for a file that is corrupt or missing at the start', () => {
    assert.throws(open, { name: 'ConfigError', message: `${file}: cannot be read (it is not there)` });
    writeFileSync(file, '[,]');
    assert.throws(open, { name: 'ConfigError', message: `${file}: is not valid JSON at line 1, column 2` });
  });
});
