import type { EventEmitter } from 'node:events';
import { hostname } from 'node:os';
import type { Logger } from '../logger.ts';
import type { KeyRecord, StateStore } from '../state/store.ts';
import { hashKey, isSameHash, keyFormProblem } from './hash-key.ts';
import type { KeyFile } from './key-file.ts';

const retryMs = 1000;
/** Redis drops the keys of a host that stays silent for a week; see redis-store.ts. */
const reminderMs = 3600_000;

export interface KeyDirectoryOptions {
  keyFile: Pick<KeyFile, 'records'> & EventEmitter<{ change: [] }>;
  store: StateStore;
  /** Names the key file among those of all hosts; see keySource. */
  source: string;
  logger: Logger;
}

/** The name of a host's key file among the sources of keys. */
export function keySource(file: string): string {
  return `${hostname()}:${file}`;
}

/**
 * Every key that is good here: those of this host's key file, and those that other hosts published. Tells the store what
 * the file holds at the start, when it changes, and each time the store comes back.
 */
export class KeyDirectory {
  readonly #options: KeyDirectoryOptions;
  readonly #onChange = () => void this.#publish();
  #reminder: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isPublishing = false;
  #isPublishDue = false;
  #isFailureLogged = false;
  #isClosed = false;

  constructor(options: KeyDirectoryOptions) {
    this.#options = options;
  }

  /** Begins to publish; does not wait for the store. */
  start(): void {
    const { keyFile, store } = this.#options;
    keyFile.on('change', this.#onChange);
    store.onUp(this.#onChange);
    this.#reminder = setInterval(this.#onChange, reminderMs).unref();
  }

  /**
   * Who a key belongs to; null when it is no key. Keys of the file are found without the store. Throws `state_unavailable`
   * for others when the store cannot be asked.
   */
  async find(presentedKey: string, hash = hashKey(presentedKey)): Promise<KeyRecord | null> {
    if (keyFormProblem(presentedKey) !== null) return null;
    return this.findHash(hash);
  }

  /** The same by the key's SHA-256, for who has shown the key before. */
  async findHash(hash: string): Promise<KeyRecord | null> {
    const found = this.#options.keyFile.records.get(hash) ?? (await this.#options.store.findKey(hash));
    // Found by its hash, which a caller cannot steer; compared whole all the same.
    return found !== null && isSameHash(found.hash, hash) ? found : null;
  }

  close(): void {
    this.#isClosed = true;
    this.#options.keyFile.off('change', this.#onChange);
    clearInterval(this.#reminder);
    clearTimeout(this.#retry);
  }

  /** One at a time, the newest keys last. */
  async #publish(): Promise<void> {
    if (this.#isClosed) return;
    this.#isPublishDue = true;
    if (this.#isPublishing) return;
    this.#isPublishing = true;
    clearTimeout(this.#retry);
    const { keyFile, store, source, logger } = this.#options;
    try {
      while (this.#isPublishDue) {
        this.#isPublishDue = false;
        await store.publishKeys(source, [...keyFile.records.values()]);
      }
      this.#isFailureLogged = false;
    } catch (error) {
      if (this.#isClosed) return;
      if (!this.#isFailureLogged) logger.warn('API keys could not be published; trying again', { error });
      this.#isFailureLogged = true;
      this.#retry = setTimeout(this.#onChange, retryMs).unref();
    } finally {
      this.#isPublishing = false;
    }
  }
}
