'use strict';
const { readFileSync, renameSync, writeFileSync } = require('node:fs');
const nodeModule = require('node:module');
const { join } = require('node:path');
const vm = require('node:vm');

/** By then a process has run what it runs at its start. */
const warmAfterMs = 300;

/**
 * Runs `<folder>/main.cjs`, with V8's code kept from an earlier process. Node's own cache (module.enableCompileCache)
 * leaves out all functions that are compiled when they are first called, which here is most of them: 135 ms of CPU for
 * this cache, 240 ms for that one, 340 ms for none (the gateway's bundle, Node 24.21). `digest` names the bundle's text,
 * because V8 itself compares only its length; what was made with other flags it refuses.
 */
function loadBundle(folder, digest) {
  const filename = join(folder, 'main.cjs');
  const flags = process.execArgv.join('').replaceAll(/\W+/g, '-');
  const cacheFile = join(folder, `main-${digest}-${process.version}${flags}.cache`);
  const head = '(function (exports, require, module, __filename, __dirname) {';
  const script = new vm.Script(`${head}${readFileSync(filename, 'utf8')}\n})`, {
    filename,
    columnOffset: -head.length,
    cachedData: readIfThere(cacheFile),
    importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  const bundle = { exports: {} };
  const isFirst = (process.env.NODE_APP_INSTANCE ?? '0') === '0';
  if (isFirst && script.cachedDataRejected !== false) {
    setTimeout(() => keep(cacheFile, script), warmAfterMs).unref();
  }
  const run = script.runInThisContext();
  run(bundle.exports, nodeModule.createRequire(filename), bundle, filename, folder);
  return bundle.exports;
}

function readIfThere(file) {
  try {
    return readFileSync(file);
  } catch {
    return undefined;
  }
}

/** Others may read the file at this moment: it appears whole. */
function keep(cacheFile, script) {
  const draft = `${cacheFile}.${process.pid}`;
  try {
    writeFileSync(draft, script.createCachedData());
    renameSync(draft, cacheFile);
  } catch {
    // A read-only installation starts without it.
  }
}

module.exports = { loadBundle };
