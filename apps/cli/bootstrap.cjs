#!/usr/bin/env node
'use strict';
// `npm start` and its sisters, on Node 20.19 or newer with nothing installed: installs what is missing, builds what is
// old, and hands over to the Node 24 that came with the dependencies. Plain CommonJS, without dependencies.
const { spawn } = require('node:child_process');
const { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } = require('node:fs');
const { delimiter, join, resolve } = require('node:path');
const { isAtLeast } = require('./node-version.cjs');
const { isBuilt } = require('./source-stamp.cjs');

const root = resolve(__dirname, '../..');
const binFolder = join(root, 'node_modules', '.bin');
const ownNode = join(binFolder, 'node');
const cliFile = join(root, 'dist', 'cli', 'start.cjs');
/** Commands that look or stop: what was built before is good enough, a broken source must not be in their way. */
const looks = new Set(['stop', 'status', 'logs', 'models', 'doctor', 'keys', 'audit']);

main(process.argv[2] ?? 'start', process.argv.slice(3)).then(
  code => process.exit(code),
  error => {
    console.error(error.message);
    process.exit(1);
  },
);

async function main(command, args) {
  if (!isAtLeast(process.versions.node, '20.19.0')) {
    throw new Error(`Node 20.19 or newer is needed for the first step; this is ${process.versions.node}.`);
  }
  if (command === 'stop' && !existsSync(ownNode)) {
    console.log('Nothing runs: nothing is installed in this folder.');
    return 0;
  }
  const isReady = () => isInstalled() && (looks.has(command) ? existsSync(cliFile) : isBuilt(root));
  if (!isReady()) {
    await alone(async () => {
      if (!isInstalled()) await install();
      if (!isReady()) await run('Building', ownNode, [join(__dirname, 'build.mjs')], withOwnNode());
    });
  }
  return handOver([cliFile, command, ...args]);
}

/** Whether node_modules holds what package-lock.json asks for, by npm's own record of what it installed. */
function isInstalled() {
  if (!existsSync(ownNode)) return false;
  try {
    const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
    const found = JSON.parse(readFileSync(join(root, 'node_modules', '.package-lock.json'), 'utf8')).packages;
    return Object.entries(wanted).every(
      ([path, { version, link, optional }]) =>
        !path.startsWith('node_modules/') || link || optional || found[path]?.version === version,
    );
  } catch {
    return false;
  }
}

async function install() {
  const { NODE_ENV: _, ...environment } = process.env;
  // npm by its path when it called us: under a Node that npm ci does not delete while it runs.
  const npm = process.env.npm_execpath?.endsWith('npm-cli.js') ? process.env.npm_execpath : undefined;
  const program = npm ? nodeOutsideOfTheProject() : 'npm';
  const args = [...(npm ? [npm] : []), 'ci', '--include=dev', '--no-fund', '--no-audit'];
  await run('Installing dependencies (a minute or so the first time)', program, args, environment);
  if (!existsSync(ownNode)) {
    throw new Error(
      "Node 24 did not come with the dependencies (npm's ignore-scripts is on?). Run: npm rebuild node --ignore-scripts=false",
    );
  }
}

function nodeOutsideOfTheProject() {
  if (!process.execPath.startsWith(join(root, 'node_modules'))) return process.execPath;
  const folders = (process.env.PATH ?? '')
    .split(delimiter)
    .filter(folder => !folder.includes('node_modules'));
  return folders.map(folder => join(folder, 'node')).find(existsSync) ?? process.execPath;
}

/** Runs a program quietly: one line for the user, its output only when it fails. */
async function run(what, program, args, environment) {
  const begin = Date.now();
  process.stdout.write(`${what} ...`);
  const output = [];
  const child = spawn(program, args, { cwd: root, env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => output.push(chunk));
  const code = await new Promise(done => {
    child.on('error', error => {
      output.push(Buffer.from(error.message));
      done(1);
    });
    child.on('close', done);
  });
  process.stdout.write(code === 0 ? ` done in ${Math.round((Date.now() - begin) / 1000)} s\n` : ' failed\n');
  if (code !== 0) throw new Error(Buffer.concat(output).toString().trim());
}

/** Runs `work` while no other process does so in this folder: two `npm start` at once must not both install. */
async function alone(work) {
  const lock = join(root, '.cache', 'bootstrap.lock');
  mkdirSync(join(root, '.cache'), { recursive: true });
  for (let hasSaid = false; !take(lock); hasSaid = true) {
    if (!hasSaid)
      console.log(`Waiting for another command that installs or builds (pid ${holderOf(lock)}) ...`);
    await new Promise(done => setTimeout(done, 200));
  }
  const release = () => rmSync(lock, { force: true });
  const leave = () => process.exit(130);
  process.once('exit', release);
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, leave);
  await work();
  for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, leave);
  process.off('exit', release);
  release();
}

function take(lock) {
  const mine = `${lock}.${process.pid}`;
  writeFileSync(mine, String(process.pid));
  try {
    // A link appears with its content, all at once.
    linkSync(mine, lock);
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  } finally {
    rmSync(mine, { force: true });
  }
  if (!isAlive(holderOf(lock))) rmSync(lock, { force: true });
  return false;
}

function holderOf(lock) {
  try {
    return Number(readFileSync(lock, 'utf8'));
  } catch {
    return 0;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return pid > 0;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function withOwnNode() {
  return { ...process.env, PATH: `${binFolder}${delimiter}${process.env.PATH ?? ''}` };
}

/** Becomes the command line, as far as Node can: its terminal, its signals, its exit status. */
function handOver(args) {
  const child = spawn(ownNode, args, { cwd: root, env: withOwnNode(), stdio: 'inherit' });
  // A terminal sends ^C to the child as well; a signal from elsewhere comes to this process alone.
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'));
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  return new Promise((done, fail) => {
    child.on('error', fail);
    child.on('close', (code, signal) => done(code ?? (signal === 'SIGINT' ? 130 : 143)));
  });
}
