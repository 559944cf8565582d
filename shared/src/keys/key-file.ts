import { EventEmitter } from 'node:events';
import { chmodSync, closeSync, existsSync, fstatSync, openSync, readFileSync, statSync } from 'node:fs';
import { ConfigError } from '../errors/config-error.ts';
import type { Logger } from '../logger.ts';
import type { KeyRecord } from '../state/store.ts';
import { parseKeyFile } from './key-file-format.ts';

const pollIntervalMs = 1000;

/**
 * The keys in the key file, kept up to date: looked at each second, so that an edit counts within two. Emits `change`
 * when the keys are others. An edit that cannot be read, or a file that was deleted, takes nobody's access away: the last
 * good keys stay until the file can be read again, and the log says so once. It never writes the file; it takes other users' access
 * to it away.
 */
export class KeyFile extends EventEmitter<{ change: [] }> {
  readonly #file: string;
  readonly #logger: Logger;
  #records: ReadonlyMap<string, KeyRecord> = new Map();
  /** Of the file when it was last read, in whatever state. */
  #signature: string;
  #timer: NodeJS.Timeout | undefined;

  /** Reads the file (see ensureKeyFile). Throws ConfigError when it is not there or cannot be used. */
  constructor(file: string, logger: Logger) {
    super();
    this.#file = file;
    this.#logger = logger;
    this.#signature = signatureOf(file);
    this.#records = this.#read();
  }

  /** The keys by SHA-256. A change replaces the map. */
  get records(): ReadonlyMap<string, KeyRecord> {
    return this.#records;
  }

  /** Begins to look for changes. */
  watch(): void {
    this.#timer ??= setInterval(() => this.refresh(), pollIntervalMs).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Reads the file again if it changed since the last look. */
  refresh(): void {
    // Taken before reading: a change in between is found next time.
    const signature = signatureOf(this.#file);
    if (signature === this.#signature) return;
    this.#signature = signature;
    let records: ReadonlyMap<string, KeyRecord>;
    try {
      records = this.#read();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      this.#logger.error('API key file cannot be used; the keys read before stay in force', {
        problem: error.message,
      });
      return;
    }
    if (isSame(records, this.#records)) return;
    this.#records = records;
    this.#logger.info('API keys were read again', { keys: records.size });
    this.emit('change');
  }

  #read(): ReadonlyMap<string, KeyRecord> {
    const { text, mode } = readWithMode(this.#file);
    const { records, problems } = parseKeyFile(text, this.#file);
    if (mode & 0o077) this.#closeToOthers(mode);
    for (const problem of problems) this.#logger.warn('API key file', { problem });
    if (records.size === 0) this.#logger.warn('API key file holds no key: every request will be refused');
    return records;
  }

  #closeToOthers(mode: number): void {
    const was = (mode & 0o777).toString(8).padStart(4, '0');
    try {
      chmodSync(this.#file, 0o600);
      this.#logger.warn('API key file was open to other users; its mode is 0600 now', { was });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      this.#logger.warn('API key file is open to other users, and its mode cannot be changed', { was, code });
    }
  }
}

/** Where the `state` app keeps the keys made through `/admin/keys`: `er_api_keys.managed.json`. */
export function managedKeysPath(file: string): string {
  return file.replace(/(\.json)?$/, '.managed.json');
}

/** Throws ConfigError when there is a key file and it cannot be used: before anything is started. Changes nothing. */
export function checkKeyFile(file: string): void {
  if (existsSync(file)) parseKeyFile(readWithMode(file).text, file);
}

function readWithMode(file: string): { text: string; mode: number } {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch (error) {
    throw unreadable(file, error);
  }
  try {
    return { text: readFileSync(descriptor, 'utf8'), mode: fstatSync(descriptor).mode };
  } catch (error) {
    throw unreadable(file, error);
  } finally {
    closeSync(descriptor);
  }
}

function unreadable(file: string, error: unknown): ConfigError {
  const { code } = error as NodeJS.ErrnoException;
  return new ConfigError([`${file}: cannot be read (${code === 'ENOENT' ? 'it is not there' : code})`]);
}

/** Changes whenever the file's text may have changed, or it comes or goes. */
function signatureOf(file: string): string {
  try {
    const { mtimeNs, size, ino } = statSync(file, { bigint: true });
    return `${mtimeNs} ${size} ${ino}`;
  } catch (error) {
    return `${(error as NodeJS.ErrnoException).code}`;
  }
}

function isSame(one: ReadonlyMap<string, KeyRecord>, other: ReadonlyMap<string, KeyRecord>): boolean {
  if (one.size !== other.size) return false;
  return [...one].every(([hash, record]) => JSON.stringify(record) === JSON.stringify(other.get(hash)));
}
