import { randomBytes, randomInt } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { ConfigError } from '../errors/config-error.ts';

const base62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** What link() fails with on file systems that have no hard links. */
const withoutLinks = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/** What ensureKeyFile did: the process that made the file shows its key, once. */
export type EnsuredKeyFile = { created: true; key: string } | { created: false; key: null };

/**
 * Makes the key file with one admin key unless it is there. Any number of processes may call it at once: the file appears
 * whole, and `created` is true in one of them. Throws ConfigError when the file cannot be made.
 */
export function ensureKeyFile(file: string): EnsuredKeyFile {
  if (existsSync(file)) return { created: false, key: null };
  const key = newKey();
  const entry = { key, name: 'default', role: 'admin', created_at: new Date().toISOString() };
  const isOurs = createWhole(file, `${JSON.stringify({ keys: [entry] }, null, 2)}\n`);
  return isOurs ? { created: true, key } : { created: false, key: null };
}

/** A new API key: `er-` and 40 random base62 characters, 238 bits. */
export function newKey(): string {
  return `er-${Array.from({ length: 40 }, () => base62[randomInt(base62.length)]).join('')}`;
}

/** Creates a file, mode 0600, with all of its text or not at all. False when somebody else has made it meanwhile. */
function createWhole(file: string, text: string): boolean {
  const draft = `${file}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    mkdirSync(dirname(file), { recursive: true });
    try {
      writeFileSync(draft, text, { mode: 0o600, flag: 'wx', flush: true });
      return linkOrWrite(draft, file, text);
    } finally {
      rmSync(draft, { force: true });
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ConfigError([
      `keys.file: ${file} cannot be created (${code}); set ER_KEYS_FILE to a file in a folder you may write`,
    ]);
  }
}

/** Gives the finished draft its name; false when the name is taken. Unlike rename(), link() never replaces a file. */
function linkOrWrite(draft: string, file: string, text: string): boolean {
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    if (!withoutLinks.has(code)) throw error;
  }
  // For a moment another process could read half a file here; it would say so and start again.
  try {
    writeFileSync(file, text, { mode: 0o600, flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}
