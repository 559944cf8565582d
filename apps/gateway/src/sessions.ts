import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, stat, unlink, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { hashKey } from '@er-gateway/shared/keys/hash-key';

/** How long a session lasts, in seconds; it is not prolonged. */
export const sessionSeconds = 12 * 3600;

/** The cookie that holds a session's id. It is sent to the dashboard's addresses only. */
export const sessionCookie = 'er_session';
const cookiePattern = /(?:^|;\s*)er_session=([\w-]{43})(?=;|$)/;

/** Who is logged in, and until when. */
export interface Session {
  /** SHA-256 of the admin key, as in its KeyRecord: a key that is gone takes its sessions with it. */
  keyHash: string;
  /** Unix time in milliseconds. */
  expiresAt: number;
}

/**
 * The dashboard's sessions: files in the run folder, so that all workers of the host know them at once and no restart ends
 * them. A file's name is the SHA-256 of its session's id: who can read the folder still has no session.
 */
export class Sessions {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Begins a session of this key, and removes those that are over. Resolves to the session's id. */
  async begin(keyHash: string): Promise<{ id: string; session: Session }> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await this.#removeExpired();
    const id = randomBytes(32).toString('base64url');
    const session: Session = { keyHash, expiresAt: Date.now() + sessionSeconds * 1000 };
    await writeFile(this.#fileOf(id), JSON.stringify(session), { mode: 0o600, flag: 'wx' });
    return { id, session };
  }

  /** The session that a request's cookie names; null when there is none, or no more. */
  async of(request: IncomingMessage): Promise<Session | null> {
    const id = sessionIdOf(request);
    if (id === null) return null;
    const session = await readSession(this.#fileOf(id));
    return session !== null && session.expiresAt > Date.now() ? session : null;
  }

  /** Ends the session that a request's cookie names, if it does. */
  async end(request: IncomingMessage): Promise<void> {
    const id = sessionIdOf(request);
    if (id !== null) await unlink(this.#fileOf(id)).catch(() => {});
  }

  async #removeExpired(): Promise<void> {
    for (const name of await readdir(this.#folder)) {
      const file = join(this.#folder, name);
      const session = await readSession(file);
      // One that cannot be read may be just being written, by another worker.
      const isOver = session === null ? await isOld(file) : session.expiresAt <= Date.now();
      if (isOver) await unlink(file).catch(() => {});
    }
  }

  #fileOf(id: string): string {
    return join(this.#folder, hashKey(id));
  }
}

/** Writing a session takes less than this, in milliseconds. */
const writingMs = 60_000;

/** Whether a file was last written long ago; false when it is gone. */
const isOld = (file: string) =>
  stat(file).then(
    ({ mtimeMs }) => Date.now() - mtimeMs > writingMs,
    () => false,
  );

const sessionIdOf = ({ headers }: IncomingMessage) => cookiePattern.exec(headers.cookie ?? '')?.[1] ?? null;

async function readSession(file: string): Promise<Session | null> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Session;
  } catch {
    return null;
  }
}
