import assert from 'node:assert/strict';
import { appendFileSync, closeSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { ModelLogReader, openModelLog } from '../../../supervisor/src/model-log.ts';

const folder = mkdtempSync(join(tmpdir(), 'er-log-'));
after(() => rmSync(folder, { recursive: true }));

describe('openModelLog()', () => {
  it('appends, and tells where this life begins', () => {
    const file = join(folder, 'new', 'a.log');
    for (const [line, startsAt] of [
      ['first', 0],
      ['second', 6],
    ] as const) {
      const target = openModelLog(file, line);
      assert.equal(target.problem, null);
      assert.equal(target.startsAt, startsAt);
      closeSync(target.output as number);
    }
    assert.equal(readFileSync(file, 'utf8'), 'first\nsecond\n');
  });

  it('throws the output away when the disk is full, though the file opens', () => {
    const target = openModelLog('/dev/full', 'first');
    assert.equal(target.output, 'ignore');
    assert.match(target.problem ?? '', /ENOSPC/);
  });

  it('throws the output away when the file cannot be opened', () => {
    const target = openModelLog(folder, 'first');
    assert.equal(target.output, 'ignore');
    assert.match(target.problem ?? '', /EISDIR/);
  });
});

describe('ModelLogReader', () => {
  it('reads what is new, in whole lines, whether they end in \\n or \\r', () => {
    const file = join(folder, 'b.log');
    writeFileSync(file, 'Application startup complete.\n');
    const reader = new ModelLogReader(file, 30);
    assert.equal(reader.newDetail(), null, 'an earlier life does not count');
    appendFileSync(
      file,
      'Loading safetensors checkpoint shards: 1/4\rLoading safetensors checkpoint shards: 2/',
    );
    assert.equal(reader.newDetail(), 'loading weights 1/4');
    appendFileSync(file, '4\r');
    assert.equal(reader.newDetail(), 'loading weights 2/4');
    assert.equal(reader.newDetail(), null);
  });

  it('explains the end by this life alone, its last line without a line break included', () => {
    const file = join(folder, 'c.log');
    writeFileSync(file, 'ValueError: long ago\n');
    const reader = new ModelLogReader(file, 21);
    assert.equal(reader.explanation(), null);
    appendFileSync(file, 'INFO\nKeyError: now');
    assert.equal(reader.explanation(), 'KeyError: now');
  });

  it('goes on when the file was cut or is gone', () => {
    const file = join(folder, 'd.log');
    writeFileSync(file, 'x'.repeat(100));
    const reader = new ModelLogReader(file, 100);
    writeFileSync(file, 'Application startup complete.\n');
    assert.equal(reader.newDetail(), 'warming up');
    rmSync(file);
    assert.equal(reader.newDetail(), null);
  });
});
