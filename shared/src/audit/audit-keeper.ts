import {
  createReadStream,
  createWriteStream,
  existsSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { Logger } from '../logger.ts';
import { checkLine, genesis } from './audit-chain.ts';
import { writeHead } from './audit-heads.ts';
import { type AuditFileName, keeperLane, parseAuditFileName } from './audit-names.ts';
import { AuditWriter } from './audit-writer.ts';
import { whileUnclaimed } from './claim-lane.ts';
import { auditLines, listAuditFiles } from './read-audit.ts';

const dayMs = 24 * 3600 * 1000;
const lookEveryMs = 60_000;
/** Ends the name of a packed file while it is written. */
const draftEnd = '.gz.tmp';

export interface AuditKeeperOptions {
  folder: string;
  /** Files whose last line is older are deleted; null keeps them. */
  retentionDays: number | null;
  /** Bytes that the trail may take up; the oldest files are deleted above it. */
  maxTotalBytes: number;
  logger: Logger;
  /** Unix time in milliseconds. */
  now?: () => number;
}

/**
 * Puts the audit trail's closed files away: compressed, and deleted by age and by size, the oldest first. It writes into a
 * lane of its own what it deleted, and with which chain value the file ended, so that nobody else can do so unseen.
 */
export class AuditKeeper {
  readonly #options: AuditKeeperOptions;
  readonly #writer: AuditWriter;
  readonly #now: () => number;
  #timer: NodeJS.Timeout | undefined;
  #isWorking = false;
  /** Deletions that the trail does not tell of yet: its disk is full. */
  readonly #untold: { time: string }[] = [];

  constructor(options: AuditKeeperOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    const { folder, logger } = options;
    // Its own file is small, and is never put away: it must outlive what it tells of.
    this.#writer = new AuditWriter({
      folder,
      lane: keeperLane,
      maxFileBytes: Number.POSITIVE_INFINITY,
      mayRotateDaily: false,
      logger,
    });
  }

  start(): void {
    const look = () =>
      this.tidy().catch(error =>
        this.#options.logger.error('the audit trail could not be tidied', { error }),
      );
    this.#timer = setInterval(look, lookEveryMs).unref();
    void look();
  }

  /** Does all that is due now: what frees the disk first. A file that cannot be handled keeps no other one from it. */
  async tidy(): Promise<void> {
    if (this.#isWorking) return;
    this.#isWorking = true;
    try {
      await this.#dropDrafts();
      await this.#prune();
      for (const file of listAuditFiles(this.#options.folder))
        if (file.number !== null && !file.isCompressed)
          await this.#each(file, 'compressed', () => this.#compress(file));
      await this.#prune();
    } finally {
      this.#isWorking = false;
    }
  }

  close(): void {
    clearInterval(this.#timer);
    this.#writer.close();
  }

  async #each({ name }: Pick<AuditFileName, 'name'>, what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#options.logger.error(`a file of the audit trail could not be ${what}`, { file: name, error });
    }
  }

  /** The packed file takes the plain one's name and time in one step. */
  async #compress({ name }: AuditFileName): Promise<void> {
    const path = join(this.#options.folder, name);
    const draft = `${path}${draftEnd}`;
    const { mtime } = statSync(path);
    try {
      await pipeline(
        createReadStream(path),
        createGzip(),
        createWriteStream(draft, { mode: 0o600, flush: true }),
      );
      utimesSync(draft, mtime, mtime);
      renameSync(draft, `${path}.gz`);
    } catch (error) {
      rmSync(draft, { force: true, recursive: true }); // nobody else counts or deletes it
      throw error;
    }
    rmSync(path);
  }

  /** Deletes what was left by a death while compressing, where the plain file is gone too: nobody would write over it. */
  async #dropDrafts(): Promise<void> {
    const { folder } = this.#options;
    for (const name of existsSync(folder) ? readdirSync(folder) : []) {
      const plain = name.endsWith(draftEnd) ? name.slice(0, -draftEnd.length) : '';
      if (parseAuditFileName(plain) === null || existsSync(join(folder, plain))) continue;
      await this.#each({ name }, 'deleted', async () =>
        rmSync(join(folder, name), { force: true, recursive: true }),
      );
    }
  }

  async #prune(): Promise<void> {
    const { folder, retentionDays, maxTotalBytes } = this.#options;
    const files = listAuditFiles(folder)
      .filter(({ lane }) => lane !== keeperLane)
      .map(file => ({ file, stat: statSync(join(folder, file.name), { throwIfNoEntry: false }) }))
      .flatMap(({ file, stat }) => (stat ? [{ file, bytes: stat.size, at: stat.mtimeMs }] : []))
      .sort((one, other) => one.at - other.at);
    let total = files.reduce((sum, { bytes }) => sum + bytes, 0);
    const oldest = retentionDays === null ? Number.NEGATIVE_INFINITY : this.#now() - retentionDays * dayMs;
    for (const { file, bytes, at } of files) {
      if (at < oldest && file.number === null)
        await this.#each(file, 'deleted', () =>
          whileUnclaimed(folder, file.lane, () => this.#delete(file, 'age')),
        );
      else if (file.number !== null && (at < oldest || total > maxTotalBytes)) {
        await this.#each(file, 'deleted', () => this.#delete(file, at < oldest ? 'age' : 'size'));
        total -= bytes;
      }
    }
    this.#tell(); // there may be room for it now
  }

  /**
   * Tells first: a file that is still there although it was told of is no harm. A disk that is too full to tell must get
   * room all the same; it is told of later then.
   */
  async #delete(file: AuditFileName, why: 'age' | 'size'): Promise<void> {
    const { folder, logger } = this.#options;
    let number = file.number;
    let last: string | null = genesis;
    try {
      for await (const line of auditLines(folder, file)) {
        number ??= Number(/"file":(\d+)/.exec(line)?.[1]);
        last = checkLine(last, line)?.chain ?? last;
      }
    } catch (error) {
      if (number === null) throw error;
      last = null; // with which value it ended nobody knows any more
    }
    const time = new Date(this.#now()).toISOString();
    this.#untold.push({ time, event: 'pruned', lane: file.lane, file: number, last, why } as {
      time: string;
    });
    this.#tell();
    // What comes next in a lane that nobody writes to goes on from here.
    if (file.number === null && number !== null && last !== null)
      writeHead(folder, { lane: file.lane, file: number, bytes: 0, chain: last });
    rmSync(join(folder, file.name));
    logger.info('a file of the audit trail was deleted', { file: file.name, why });
  }

  #tell(): void {
    while (this.#untold[0] && this.#writer.tryAppend(this.#untold[0])) this.#untold.shift();
  }
}
