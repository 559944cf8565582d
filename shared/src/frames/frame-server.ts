import { chmodSync, existsSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { toPlainError } from '../errors/request-error.ts';
import { TicketTable } from '../ticket-table.ts';
import { FrameReader, FrameWriter } from './codec.ts';
import type { ClientMessage, ServerMessage } from './messages.ts';

/** What a method gets beside its parameters. */
export interface CallContext {
  /** Aborts when the caller cancels or its connection closes. */
  signal: AbortSignal;
  /** The call was sent before, to a predecessor of this server that died or on a connection that broke. */
  isRepeated: boolean;
}

/** A call that runs: the number that its client gave it, and how to end it. */
interface RunningCall {
  id: number;
  controller: AbortController;
}

export type FrameMethod = (params: never, context: CallContext) => Promise<unknown>;

export interface FrameServerOptions {
  path: string;
  methods: Record<string, FrameMethod>;
  /** Messages for each new connection, before any answer. */
  greeting?: () => { topic: string; value: unknown }[];
  /** A method threw something that is no RequestError. */
  onUnexpectedError: (error: unknown, method: string) => void;
}

/**
 * Serves methods on a unix socket (mode 0600). A connection that closes aborts its calls, so whatever a call holds
 * is given back however its caller died.
 */
export class FrameServer {
  readonly #options: FrameServerOptions;
  readonly #server: Server;
  readonly #connections = new Map<Socket, FrameWriter>();

  constructor(options: FrameServerOptions) {
    this.#options = options;
    this.#server = createServer(socket => this.#serve(socket));
  }

  /** Listens, taking the place of a dead predecessor's socket file. Throws when a live process answers there. */
  async listen(): Promise<void> {
    const { path } = this.#options;
    if (existsSync(path)) {
      if (await answers(path)) throw new Error(`another process serves ${path} already`);
      unlinkSync(path);
    }
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(path, resolve);
    });
    chmodSync(path, 0o600);
  }

  /** Sends news to every connection. */
  broadcast(topic: string, value: unknown): void {
    for (const writer of this.#connections.values())
      writer.write(['push', topic, value] satisfies ServerMessage);
  }

  async close(): Promise<void> {
    const closed = new Promise(resolve => this.#server.close(resolve));
    for (const socket of this.#connections.keys()) socket.destroy();
    await closed;
  }

  #serve(socket: Socket): void {
    const calls = new TicketTable<RunningCall>();
    const reader = new FrameReader();
    const writer = new FrameWriter(socket);
    this.#connections.set(socket, writer);
    for (const { topic, value } of this.#options.greeting?.() ?? [])
      writer.write(['push', topic, value] satisfies ServerMessage);
    socket.on('error', () => {}); // 'close' follows
    socket.on('close', () => {
      this.#connections.delete(socket);
      for (const { controller } of calls.values()) controller.abort();
    });
    socket.on('data', chunk => {
      let messages: unknown[];
      try {
        messages = reader.feed(chunk);
      } catch (error) {
        this.#options.onUnexpectedError(error, 'frame');
        socket.destroy();
        return;
      }
      for (const message of messages as ClientMessage[]) {
        // Clients cancel seldom, so nothing is kept to find a call by its client's number.
        if (message[0] === 'cancel') calls.find(({ id }) => id === message[1])?.controller.abort();
        else void this.#answer(writer, calls, message);
      }
    });
  }

  async #answer(
    writer: FrameWriter,
    calls: TicketTable<RunningCall>,
    [, id, method, params, isRepeated = false]: Extract<ClientMessage, ['call', ...unknown[]]>,
  ): Promise<void> {
    const controller = new AbortController();
    const ticket = calls.add({ id, controller });
    try {
      const run = this.#options.methods[method];
      if (!run) throw new Error(`no method ${method}`);
      const value = await run(params as never, { signal: controller.signal, isRepeated });
      if (!controller.signal.aborted) writer.write(['result', id, value] satisfies ServerMessage);
    } catch (error) {
      if (controller.signal.aborted) return;
      const plain = toPlainError(error);
      if (plain.code === 'internal_error') this.#options.onUnexpectedError(error, method);
      writer.write(['error', id, plain] satisfies ServerMessage);
    } finally {
      calls.remove(ticket);
    }
  }
}

/** Whether a process accepts connections at a unix socket. */
export function answers(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}
