import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '@er-gateway/shared/logger';

/** Time between attempts to write again after the disk refused, in milliseconds. */
const retryAfterMs = 5000;

/**
 * The audit trail of one worker: a JSON line for each request, written at once (a kill -9 loses none that was answered;
 * winston and stdout lose lines, and PM2's daemon would copy each one). A disk that refuses stops no request: lines are
 * counted as lost, and the log says so when it begins and when it ends.
 */
export class AuditFile {
  readonly #folder: string;
  readonly #path: string;
  readonly #logger: Logger;
  #descriptor: number | null = null;
  #lost = 0;
  #nextAttemptAt = 0;

  constructor(logsDir: string, instance: number, logger: Logger) {
    this.#folder = join(logsDir, 'audit');
    this.#path = join(this.#folder, `gateway-${instance}.jsonl`);
    this.#logger = logger;
  }

  /** Lines that could not be written since the start of this process. */
  get lost(): number {
    return this.#lost;
  }

  write(record: Record<string, unknown>): void {
    if (performance.now() < this.#nextAttemptAt) {
      this.#lost++;
      return;
    }
    try {
      this.#descriptor ??= this.#open();
      writeSync(this.#descriptor, `${JSON.stringify(record)}\n`);
      if (this.#nextAttemptAt > 0) {
        this.#nextAttemptAt = 0;
        this.#logger.info('the audit trail is written again', { lostLines: this.#lost });
      }
    } catch (error) {
      this.#lost++;
      if (this.#nextAttemptAt === 0) {
        this.#logger.error('the audit trail cannot be written; requests go on without it', {
          code: (error as NodeJS.ErrnoException).code,
        });
      }
      this.#nextAttemptAt = performance.now() + retryAfterMs;
      this.close();
    }
  }

  close(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
  }

  #open(): number {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    return openSync(this.#path, 'a', 0o600);
  }
}
