import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { Logger } from '@er-gateway/shared/logger';
import type { AdminModelStatus, AdminStatus } from './admin-status.ts';
import type { HistoryPoint } from './history.ts';

/** Models are looked at this often while somebody watches, everything every second time, in milliseconds. */
const tickMs = 1000;
/** A browser comes back this long after its stream ended, in milliseconds. */
const retryMs = 1000;
const mostWatchers = 100;
/** A watcher that lets so many bytes wait is cut off; it comes back when it can read. */
const mostWaitingBytes = 4 * 1024 * 1024;

/** Event `status`: everything, and the newest point of the charts. */
export interface StatusEvent {
  status: AdminStatus;
  point: HistoryPoint | null;
}
/** Event `models`: sent between two `status` events when something has changed. */
export type ModelsEvent = AdminModelStatus[];

export interface StatusStreamOptions {
  readStatus: () => Promise<AdminStatus>;
  /** The models alone, which costs little. */
  readModels: () => Promise<AdminModelStatus[]>;
  history: () => { points: readonly HistoryPoint[]; latest: HistoryPoint | null };
  logger: Logger;
}

/**
 * The dashboard's server-sent events. A watcher gets `history` (the charts' points) and `status` at once, then `status`
 * every two seconds, and `models` in between when a model has changed. Nothing is looked at while nobody watches.
 */
export class StatusStream {
  readonly #options: StatusStreamOptions;
  /** Streams that are open or being opened, and those among them that are told of news. */
  readonly #places = new Set<ServerResponse>();
  readonly #watchers = new Set<ServerResponse>();
  readonly #closing = new AbortController();
  #isTurning = false;
  #lastModels = '';

  constructor(options: StatusStreamOptions) {
    this.#options = options;
  }

  /** Begins a stream. Throws RequestError when too many are open. */
  async open(response: ServerResponse, headers: Record<string, string>): Promise<void> {
    if (this.#places.size >= mostWatchers)
      throw new RequestError('overloaded', `${mostWatchers} dashboards are open; close some.`, {
        retryAfterMs: 10_000,
      });
    // Taken before anything is waited for, and given back however it ends.
    this.#places.add(response);
    response.once('close', () => {
      this.#places.delete(response);
      this.#watchers.delete(response);
    });
    const { history, readStatus } = this.#options;
    const status = await readStatus();
    if (response.destroyed) return;
    response.writeHead(200, {
      ...headers,
      'content-type': 'text/event-stream',
      'x-accel-buffering': 'no',
    });
    response.write(
      `retry: ${retryMs}\n\n${toEvent('history', history().points)}${toEvent('status', { status, point: null })}`,
    );
    if (this.#closing.signal.aborted || response.req.method === 'HEAD') return void response.end();
    this.#watchers.add(response);
    void this.#turn();
  }

  /** Ends every stream, cleanly. */
  close(): void {
    this.#closing.abort();
    for (const response of this.#watchers) response.end();
  }

  async #turn(): Promise<void> {
    if (this.#isTurning) return;
    this.#isTurning = true;
    const { signal } = this.#closing;
    for (let tick = 1; ; tick++) {
      await delay(tickMs, undefined, { signal }).catch(() => {});
      if (this.#watchers.size === 0 || signal.aborted) break;
      try {
        await (tick % 2 === 0 ? this.#sendStatus() : this.#sendModels());
      } catch (error) {
        this.#options.logger.error('the dashboard could not be told', { error });
      }
    }
    this.#isTurning = false;
  }

  async #sendStatus(): Promise<void> {
    const status = await this.#options.readStatus();
    this.#lastModels = JSON.stringify(status.models);
    this.#send(toEvent('status', { status, point: this.#options.history().latest } satisfies StatusEvent));
  }

  async #sendModels(): Promise<void> {
    const models: ModelsEvent = await this.#options.readModels();
    const text = JSON.stringify(models);
    if (text === this.#lastModels) return;
    this.#lastModels = text;
    this.#send(toEvent('models', models));
  }

  #send(event: string): void {
    for (const response of this.#watchers) {
      if (response.writableLength > mostWaitingBytes) response.destroy();
      else response.write(event);
    }
  }
}

const toEvent = (name: string, value: unknown) => `event: ${name}\ndata: ${JSON.stringify(value)}\n\n`;
