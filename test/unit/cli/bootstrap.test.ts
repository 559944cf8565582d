import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type ProgramResult, runProgram } from '../../kit/run-program.ts';
import { projectRoot } from '../../kit/stack.ts';

const { isBuilt } = createRequire(import.meta.url)('../../../apps/cli/source-stamp.cjs');

let root: string;
const bootstrap = (...args: string[]): Promise<ProgramResult> =>
  runProgram(process.execPath, ['apps/cli/bootstrap.cjs', ...args], {
    cwd: root,
    env: { PATH: `${join(root, 'bin')}:${process.env.PATH}` },
  });

// A project of its own: a command line that prints its arguments, an npm that only notes that it was called.
before(() => {
  root = mkdtempSync(join(tmpdir(), 'er-bootstrap-'));
  for (const file of [
    'bootstrap.cjs',
    'build.mjs',
    'load-bundle.cjs',
    'node-version.cjs',
    'source-stamp.cjs',
  ])
    cpSync(join(projectRoot, 'apps/cli', file), join(root, 'apps/cli', file));
  writeFile('apps/cli/src/main.ts', "console.log('ran', process.argv.slice(2).join(' '));\n");
  writeFile('apps/cli/src/ecosystem.ts', 'export const ecosystemApps = () => [];\n');
  writeFile(
    'package-lock.json',
    JSON.stringify({ packages: { 'node_modules/esbuild': { version: '1.0.0' } } }),
  );
  const npm = `#!/bin/sh
echo "npm $*" >> ${root}/npm.log
echo 'npm warn noise'
mkdir -p node_modules/.bin
ln -sf ${process.execPath} node_modules/.bin/node
ln -sfn ${join(projectRoot, 'node_modules/esbuild')} node_modules/esbuild
cp package-lock.json node_modules/.package-lock.json
`;
  writeFile('bin/npm', npm, 0o755);
});
after(() => rmSync(root, { recursive: true }));

function writeFile(path: string, text: string, mode = 0o644) {
  mkdirSync(join(root, path, '..'), { recursive: true });
  writeFileSync(join(root, path), text, { mode });
}
const npmCalls = () => readFileSync(join(root, 'npm.log'), 'utf8').trim().split('\n');

test('stop in a folder where nothing is installed is no error and installs nothing', async () => {
  const { code, output } = await bootstrap('stop');
  assert.equal(code, 0);
  assert.match(output, /Nothing runs/);
});

test('two first commands at once install and build once, say so in one line each, and run', async () => {
  const results = await Promise.all([bootstrap('status', '--json'), bootstrap('status', '--json')]);
  for (const { code, output } of results) {
    assert.equal(code, 0, output);
    assert.match(output, /^ran status --json$/m);
    assert.doesNotMatch(output, /npm warn/);
  }
  assert.deepEqual(npmCalls(), ['npm ci --include=dev --no-fund --no-audit']);
  assert.ok(isBuilt(root));
});

test('nothing is installed or built when nothing has changed', async () => {
  const { output } = await bootstrap('start');
  assert.equal(output, 'ran start\n');
});

test('a changed source is built again before start, and not before a command that only looks', async () => {
  writeFile('apps/cli/src/main.ts', "console.log('ran again', process.argv.slice(2).join(' '));\n");
  assert.match((await bootstrap('status')).output, /^ran status$/m);
  assert.match((await bootstrap('start')).output, /Building \.\.\. done[\s\S]*^ran again start$/m);
});

test('a source that does not build ends start with the place of the mistake, and stop still works', async () => {
  writeFile('apps/cli/src/main.ts', 'const = 1;\n');
  const { code, output } = await bootstrap('start');
  assert.equal(code, 1);
  assert.match(output, /apps\/cli\/src\/main\.ts:1:6/);
  assert.match((await bootstrap('stop')).output, /^ran again stop$/m);
  writeFile('apps/cli/src/main.ts', 'process.exitCode = 42;\n');
});

test("the command's exit status is the bootstrap's", async () => {
  assert.equal((await bootstrap('start')).code, 42);
});

test('a changed lock file is installed again', async () => {
  writeFile(
    'package-lock.json',
    JSON.stringify({ packages: { 'node_modules/esbuild': { version: '1.0.1' } } }),
  );
  await bootstrap('start');
  assert.equal(npmCalls().length, 2);
});

test('a lock left by a process that died is no lock', async () => {
  writeFile('.cache/bootstrap.lock', '999999999');
  const past = new Date(0);
  utimesSync(join(root, 'apps/cli/src/main.ts'), past, past);
  const { code } = await bootstrap('start');
  assert.equal(code, 42);
});
