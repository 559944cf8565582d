'use strict';
const { createHash } = require('node:crypto');
const { existsSync, readdirSync, readFileSync, statSync } = require('node:fs');
const { join } = require('node:path');

/** Where the stamp of the last build stands, below the root. */
const stampFile = join('dist', '.stamp');

/** A digest of names, sizes and times of everything that the build reads. */
function sourceStamp(root) {
  const folders = ['shared/src', 'supervisor/src'];
  for (const app of readdirSync(join(root, 'apps'))) folders.push(`apps/${app}/src`);
  const files = ['apps/cli/build.mjs', 'package-lock.json'];
  for (const folder of folders.filter(name => existsSync(join(root, name)))) {
    for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) files.push(join(entry.parentPath ?? entry.path, entry.name).slice(root.length + 1));
    }
  }
  const digest = createHash('sha256').update(root);
  for (const file of files.sort()) {
    const { size, mtimeMs } = statSync(join(root, file));
    digest.update(`${file} ${size} ${mtimeMs}\n`);
  }
  return digest.digest('hex');
}

/** Whether `dist` was built from the sources as they are now. */
function isBuilt(root) {
  try {
    return readFileSync(join(root, stampFile), 'utf8') === sourceStamp(root);
  } catch {
    return false;
  }
}

module.exports = { stampFile, sourceStamp, isBuilt };
