import { EventEmitter } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { ErrorCode } from '../errors/catalogue.ts';
import { fromPlainError, RequestError } from '../errors/request-error.ts';
import { TicketTable } from '../ticket-table.ts';
import { FrameReader, FrameWriter } from './codec.ts';
import type { ClientMessage, ServerMessage } from './messages.ts';

export interface FrameClientOptions {
  path: string;
  /** What callers are told when the server stays away: its name and the error. */
  serverName: string;
  unavailable: ErrorCode;
  /** How long calls wait for a server that is away before they fail, in milliseconds. Default: as long as each call says. */
  patienceMs?: number;
}

export interface CallOptions {
  /** Longest wait for the answer, in milliseconds, reconnections included. */
  timeoutMs: number;
  /** The error when that time is over. Default: the client's `unavailable`. */
  timeoutError?: () => RequestError;
  signal?: AbortSignal;
}

interface PendingCall {
  /** Its number in the table of calls under way. */
  id: number;
  /** Its place among all calls so far. */
  order: number;
  method: string;
  params: unknown;
  /** Connections that it was sent on. */
  timesSent: number;
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
}

/** First and longest wait before a new connection is tried, in milliseconds. */
const firstRetryMs = 20;
const lastRetryMs = 500;
/** Times that a call is sent at most: one that ends its server each time would go on with that until its time-out. */
const mostTimesSent = 4;

/**
 * Calls methods of a FrameServer over one kept connection. The server may come later, die and return: calls that wait
 * are sent again on the next connection, three times at most, so methods must be safe to repeat. Emits `push` (topic, value), `up`, `down`.
 */
export class FrameClient extends EventEmitter<{ push: [topic: string, value: unknown]; up: []; down: [] }> {
  readonly #options: FrameClientOptions;
  readonly #pending = new TicketTable<PendingCall>();
  #socket: Socket | null = null;
  #writer: FrameWriter | null = null;
  #isUp = false;
  #calls = 0;
  #isClosed = false;
  #retryMs = firstRetryMs;
  #retryTimer: NodeJS.Timeout | undefined;
  #patienceTimer: NodeJS.Timeout | undefined;
  /** The server stayed away for longer than calls are willing to wait. */
  #isGivenUp = false;

  constructor(options: FrameClientOptions) {
    super();
    this.#options = options;
    this.#startPatience();
    this.#connect();
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Calls a method. Rejects with the server's RequestError, `request_too_large` when the parameters are, or the abort reason when `signal` aborts. */
  call<Result>(
    method: string,
    params: unknown,
    { timeoutMs, timeoutError, signal }: CallOptions,
  ): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error);
      if (this.#isGivenUp) return reject(this.#unavailable());
      const settle = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        this.#pending.remove(call.id);
      };
      const giveUp = (error: Error) => {
        settle();
        if (this.#isUp) this.#writer?.write(['cancel', call.id] satisfies ClientMessage);
        reject(error);
      };
      const onAbort = () => giveUp(signal?.reason as Error);
      const timer = setTimeout(() => giveUp(timeoutError?.() ?? this.#unavailable()), timeoutMs);
      signal?.addEventListener('abort', onAbort, { once: true });
      const call: PendingCall = {
        id: 0,
        order: this.#calls++,
        method,
        params,
        timesSent: 0,
        resolve: value => {
          settle();
          resolve(value as Result);
        },
        reject: error => {
          settle();
          reject(error);
        },
      };
      call.id = this.#pending.add(call);
      if (this.#isUp) this.#send(call);
    });
  }

  #send(call: PendingCall): void {
    try {
      if (call.timesSent >= mostTimesSent) throw this.#unavailable();
      call.timesSent++;
      const { id, method, params } = call;
      const message: ClientMessage = ['call', id, method, params];
      if (call.timesSent > 1) message.push(true);
      this.#writer?.write(message);
    } catch (error) {
      call.reject(error as Error);
    }
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#patienceTimer);
    this.#socket?.destroy();
    this.#rejectAll();
  }

  #rejectAll(): void {
    for (const call of this.#pending.values()) call.reject(this.#unavailable());
  }

  #startPatience(): void {
    if (this.#options.patienceMs === undefined) return;
    this.#patienceTimer = setTimeout(() => {
      this.#isGivenUp = true;
      this.#rejectAll();
    }, this.#options.patienceMs);
    this.#patienceTimer.unref();
  }

  #unavailable(): RequestError {
    return new RequestError(
      this.#options.unavailable,
      `The gateway's ${this.#options.serverName} does not answer. Try again in a moment.`,
      {
        retryAfterMs: 1000,
      },
    );
  }

  #connect(): void {
    const socket = connect(this.#options.path);
    const reader = new FrameReader();
    this.#socket = socket;
    this.#writer = new FrameWriter(socket);
    socket.on('connect', () => {
      this.#isUp = true;
      this.#retryMs = firstRetryMs;
      this.#isGivenUp = false;
      clearTimeout(this.#patienceTimer);
      const inOrder = this.#pending.values().sort((one, other) => one.order - other.order);
      for (const call of inOrder) this.#send(call);
      this.emit('up');
    });
    socket.on('data', chunk => {
      for (const message of reader.feed(chunk) as ServerMessage[]) this.#receive(message);
    });
    socket.on('error', () => {}); // 'close' follows
    socket.on('close', () => {
      const wasUp = this.#isUp;
      this.#isUp = false;
      if (this.#isClosed) return;
      if (wasUp) {
        this.#startPatience();
        this.emit('down');
      }
      this.#retryTimer = setTimeout(() => this.#connect(), this.#retryMs);
      this.#retryMs = Math.min(this.#retryMs * 2, lastRetryMs);
    });
  }

  #receive(message: ServerMessage): void {
    if (message[0] === 'push') this.emit('push', message[1], message[2]);
    else if (message[0] === 'result') this.#pending.get(message[1])?.resolve(message[2]);
    else this.#pending.get(message[1])?.reject(fromPlainError(message[2]));
  }
}
