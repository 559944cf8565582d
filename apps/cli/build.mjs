// Builds every app into one CommonJS file, dist/<app>/main.cjs, and its first line, dist/<app>/start.cjs; and the
// dashboard's page for browsers, dist/monitor/page.
// One file, and V8's code kept from the last start, is what lets 64 workers come up in seconds.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const require = createRequire(import.meta.url);
const { sourceStamp, stampFile } = require('./source-stamp.cjs');
const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

const sources = {
  gateway: 'apps/gateway/src',
  scheduler: 'apps/scheduler/src',
  state: 'apps/state/src',
  monitor: 'apps/monitor/src',
  engine: 'apps/engine/src',
  cli: 'apps/cli/src',
  supervisor: 'supervisor/src',
};

/** Packages with native parts, data files or a program of their own: left in node_modules. */
const external = [
  '@energetic-ai/*',
  '@anush008/*',
  'tiktoken',
  'systeminformation',
  'msgpackr-extract',
  'pm2',
  'selfsigned',
];

/** zod's messages in 50 languages: a quarter of a megabyte that each worker would load, and nobody asks for. */
const withoutZodLocales = {
  name: 'without-zod-locales',
  setup({ onLoad }) {
    const contents = "export { default as en } from './en.js';";
    onLoad({ filter: /[\\/]zod[\\/]v4[\\/]locales[\\/]index\.js$/ }, () => ({ contents }));
  },
};

/**
 * TLS is loaded when it is first used: OpenSSL lists its ciphers then, a third of a worker's CPU at its start, and few
 * ever use it (packages load it for the case that they might).
 */
const withLazyTls = {
  name: 'with-lazy-tls',
  setup({ onResolve, onLoad }) {
    const filter = /^(node:)?(https|tls|http2)$/;
    onResolve({ filter }, ({ path, namespace }) =>
      namespace === 'lazy'
        ? { path, external: true }
        : { path: path.replace('node:', ''), namespace: 'lazy' },
    );
    onLoad({ filter: /.*/, namespace: 'lazy' }, ({ path }) => ({
      contents: Object.keys(require(`node:${path}`))
        .map(
          name =>
            `Object.defineProperty(exports, '${name}', { enumerable: true, get: () => require('node:${path}').${name} });`,
        )
        .join('\n'),
    }));
  },
};

/** Traces are off in most systems: what makes them is a bundle of its own, loaded when they are on. */
const withLazyTracing = {
  name: 'with-lazy-tracing',
  setup({ onResolve }) {
    onResolve({ filter: /\/tracing\/otel\.ts$/ }, ({ kind }) =>
      kind === 'dynamic-import' ? { path: './tracing.cjs', external: true } : undefined,
    );
  },
};

/** The first lines of a process. */
const startScript = (app, bundle) => `'use strict';
require('../../apps/cli/node-version.cjs').refuseOldNode('${app}');
require('../../apps/cli/load-bundle.cjs').loadBundle(__dirname, '${digestOf(bundle)}');
`;

const apps = Object.keys(sources).filter(app => existsSync(join(root, sources[app], 'main.ts')));
const entryPoints = Object.fromEntries(apps.map(app => [`${app}/main`, join(root, sources[app], 'main.ts')]));
const tokenizeThread = join(root, 'apps/scheduler/src/tokenize/thread.ts');
if (existsSync(tokenizeThread)) entryPoints['scheduler/tokenize-thread'] = tokenizeThread;
const tracing = join(root, 'apps/gateway/src/tracing/otel.ts');
if (existsSync(tracing)) entryPoints['gateway/tracing'] = tracing;
entryPoints.ecosystem = join(root, 'apps/cli/src/ecosystem.ts');

const stamp = sourceStamp(root);
const { outputFiles } = await buildOrExit({
  absWorkingDir: root,
  entryPoints,
  outdir: join(root, 'dist'),
  outExtension: { '.js': '.cjs' },
  bundle: true,
  write: false,
  platform: 'node',
  format: 'cjs',
  target: 'node22.19',
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: 'none',
  external,
  plugins: [withoutZodLocales, withLazyTls, withLazyTracing],
  logLevel: 'warning',
});

for (const { path, text } of outputFiles) {
  if (replaceFile(path, text)) dropCodeCache(dirname(path));
  const app = basename(dirname(path));
  if (basename(path) === 'main.cjs' && app in sources)
    replaceFile(join(dirname(path), 'start.cjs'), startScript(app, text));
}

const pageSource = join(root, 'apps/monitor/src/page');
if (existsSync(pageSource)) await buildPage();

replaceFile(join(root, stampFile), stamp);

/** The dashboard's script, style and page. */
async function buildPage() {
  const page = await buildOrExit({
    absWorkingDir: root,
    entryPoints: ['main.tsx', 'page.css'].map(name => ({ in: join(pageSource, name), out: 'page' })),
    outdir: join(root, 'dist/monitor/page'),
    bundle: true,
    write: false,
    platform: 'browser',
    format: 'iife',
    target: ['chrome111', 'firefox113', 'safari16.4'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    // The page's tsconfig is for tsc; its base is not in every copy of the project.
    tsconfigRaw: '{}',
    minify: true,
    legalComments: 'none',
    logLevel: 'warning',
  });
  for (const { path, text } of page.outputFiles) replaceFile(path, text);
  replaceFile(join(root, 'dist/monitor/page/page.html'), readFileSync(join(pageSource, 'page.html'), 'utf8'));
}

/** esbuild has printed each error with its place; its stack trace would only hide them. */
async function buildOrExit(options) {
  try {
    return await build(options);
  } catch {
    process.exit(1);
  }
}

/**
 * Replaces a file in one step: a worker that starts at this moment reads the old or the new one, never half. Returns
 * whether there was something to change.
 */
function replaceFile(path, text) {
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return false;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
  return true;
}

/** V8's code for bundles that are no more. */
function dropCodeCache(folder) {
  for (const name of readdirSync(folder)) {
    if (name.startsWith('main-')) rmSync(join(folder, name), { force: true });
  }
}

function digestOf(text) {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
