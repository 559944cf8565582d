import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { ensureRunDir, runPaths } from '@er-gateway/shared/config/run-dir';
import { ConfigError } from '@er-gateway/shared/errors/config-error';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'er-run-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('makes the folder with its control folder for this user alone, and is content with its own', () => {
  const runDir = join(folder, 'run');
  ensureRunDir(runDir);
  assert.equal(statSync(runDir).mode & 0o777, 0o700);
  assert.ok(statSync(runPaths.controlDir(runDir)).isDirectory());
  ensureRunDir(runDir);
});

test('refuses a folder that others may enter, and says the command that helps', () => {
  const runDir = join(folder, 'run');
  ensureRunDir(runDir);
  chmodSync(runDir, 0o755);
  assert.throws(() => ensureRunDir(runDir), {
    name: 'ConfigError',
    message: `run_dir: ${runDir} is open to other users; run chmod 700 ${runDir}`,
  });
});

test('refuses a symbolic link: somebody else may have put it into the temp folder', () => {
  const target = join(folder, 'target');
  ensureRunDir(target);
  const runDir = join(folder, 'link');
  symlinkSync(target, runDir);
  assert.throws(() => ensureRunDir(runDir), ConfigError);
});

test('refuses a folder of another user, and puts nothing into it', () => {
  // Only root can make one; for everybody else the root folder is one.
  const isRoot = process.getuid?.() === 0;
  const runDir = isRoot ? join(folder, 'run') : '/';
  if (isRoot) {
    mkdirSync(runDir, { mode: 0o700 });
    chownSync(runDir, 12345, 12345);
  }
  const before = readdirSync(runDir);
  assert.throws(() => ensureRunDir(runDir), {
    name: 'ConfigError',
    message: /^run_dir: .* belongs to user \d+; set ER_RUN_DIR/,
  });
  assert.deepEqual(readdirSync(runDir), before);
});

test('says so when a file has its name', () => {
  const runDir = join(folder, 'run');
  writeFileSync(runDir, '');
  assert.throws(() => ensureRunDir(runDir), {
    name: 'ConfigError',
    message: /^run_dir: .* cannot be made \(EEXIST\)/,
  });
});
