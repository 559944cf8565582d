import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Logger } from '@er-gateway/shared/logger';
import type { KeyRecord } from '@er-gateway/shared/state/store';

/**
 * Where the keys made through `/admin/keys` outlive this process: beside the key file, which people edit, a file that only
 * this app writes. Hashes only, mode 0600, replaced whole and synced before a change is answered.
 */
export class ManagedKeyFile {
  readonly #path: string;
  readonly #logger: Logger;
  /** The file is there and cannot be read: it is not replaced, somebody may mend it. */
  #isDamaged = false;

  constructor(path: string, logger: Logger) {
    this.#path = path;
    this.#logger = logger;
  }

  /** Its keys; none when there is no file, or none that can be read: the keys of the key file go on then. */
  read(): KeyRecord[] {
    let text: string;
    try {
      text = readFileSync(this.#path, 'utf8');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return [];
      return this.#refuse(`cannot be read (${code})`);
    }
    try {
      return (JSON.parse(text) as { keys: KeyRecord[] }).keys.map(key => ({ ...key }));
    } catch {
      return this.#refuse('is damaged');
    }
  }

  /** Replaces its keys. Throws when they cannot be kept; the file is as it was then. */
  write(keys: readonly KeyRecord[]): void {
    if (this.#isDamaged) throw new Error(`${this.#path} cannot be used`);
    const draft = `${this.#path}.${process.pid}.tmp`;
    try {
      const file = openSync(draft, 'w', 0o600);
      try {
        writeSync(file, `${JSON.stringify({ keys }, null, 1)}\n`);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(draft, this.#path);
      syncFolder(dirname(this.#path));
    } catch (error) {
      rmSync(draft, { force: true });
      throw error;
    }
  }

  #refuse(why: string): KeyRecord[] {
    this.#isDamaged = true;
    this.#logger.error(
      'the keys made here cannot be used, nor changed; mend the file and restart the state app',
      {
        file: this.#path,
        why,
      },
    );
    return [];
  }
}

/** The new name is on the disk only when its folder is. */
function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
