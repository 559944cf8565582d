import { createReadStream, createWriteStream, renameSync, rmSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { Logger } from '../logger.ts';
import { checkLine, genesis } from './audit-chain.ts';
import { writeHead } from './audit-heads.ts';
import { type AuditFileName, keeperLane } from './audit-names.ts';
import { AuditWriter } from './audit-writer.ts';
import { whileUnclaimed } from './claim-lane.ts';
import { auditLines, listAuditFiles } from './read-audit.ts';

const dayMs = 24 * 3600 * 1000;
const lookEveryMs = 60_000;

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

  /** Does all that is due now. */
  async tidy(): Promise<void> {
    if (this.#isWorking) return;
    this.#isWorking = true;
    try {
      for (const file of listAuditFiles(this.#options.folder))
        if (file.number !== null && !file.isCompressed) await this.#compress(file);
      await this.#prune();
    } finally {
      this.#isWorking = false;
    }
  }

  close(): void {
    clearInterval(this.#timer);
    this.#writer.close();
  }

  /** The packed file takes the plain one's name and time in one step. */
  async #compress({ name }: AuditFileName): Promise<void> {
    const path = join(this.#options.folder, name);
    const draft = `${path}.gz.tmp`;
    const { mtime } = statSync(path);
    await pipeline(
      createReadStream(path),
      createGzip(),
      createWriteStream(draft, { mode: 0o600, flush: true }),
    );
    utimesSync(draft, mtime, mtime);
    renameSync(draft, `${path}.gz`);
    rmSync(path);
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
        await whileUnclaimed(folder, file.lane, () => this.#delete(file, 'age'));
      else if (file.number !== null && (at < oldest || total > maxTotalBytes)) {
        await this.#delete(file, at < oldest ? 'age' : 'size');
        total -= bytes;
      }
    }
  }

  /** Tells first: a file that is still there although it was told of is no harm, the other way round is. */
  async #delete(file: AuditFileName, why: 'age' | 'size'): Promise<void> {
    const { folder, logger } = this.#options;
    let number = file.number;
    let last = genesis;
    for await (const line of auditLines(folder, file)) {
      number ??= Number(/"file":(\d+)/.exec(line)?.[1]);
      last = checkLine(last, line)?.chain ?? last;
    }
    const time = new Date(this.#now()).toISOString();
    const { lost } = this.#writer;
    this.#writer.append({ time, event: 'pruned', lane: file.lane, file: number, last, why } as {
      time: string;
    });
    if (this.#writer.lost > lost) return;
    // What comes next in a lane that nobody writes to goes on from here.
    if (file.number === null && number !== null)
      writeHead(folder, { lane: file.lane, file: number, bytes: 0, chain: last });
    rmSync(join(folder, file.name));
    logger.info('a file of the audit trail was deleted', { file: file.name, why });
  }
}
