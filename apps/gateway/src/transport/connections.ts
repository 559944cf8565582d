import type { Socket } from 'node:net';
import type { Http2Sessions } from './http2-sessions.ts';

/** How often connections are looked at, in milliseconds; only while there are any. */
const sweepMs = 1000;

/** How long a connection may take for what, in milliseconds. */
export interface ConnectionLimits {
  /** From its first byte of a header, or from its opening, to the header's end. */
  headerMs: number;
  /** From the header's end to the body's. */
  bodyMs: number;
  /** Without a byte of the answer taken by the client. */
  sendMs: number;
  /** Without a request. */
  keepAliveMs: number;
}

interface SocketWatch {
  /** When it came, or was ended by us and not yet by the peer. */
  since: number;
  /** No request yet, and nobody who reads from it. */
  isUndecided: boolean;
  isEnded: boolean;
  /** What waited to be sent at the last look, and since when nothing of it went. */
  waiting: number;
  sent: number;
  stalledSince: number;
}

/**
 * The open connections, with the time-outs that Node does not have: for one that has not said which protocol it speaks,
 * for one that takes nothing of its answer, and for one that does not close after we did. Looking at all of them once a
 * second costs a request nothing.
 */
export class Connections {
  readonly #sockets = new Map<Socket, SocketWatch>();
  readonly #limits: ConnectionLimits;
  readonly #sessions: Http2Sessions;
  #timer: NodeJS.Timeout | undefined;

  constructor(limits: ConnectionLimits, sessions: Http2Sessions) {
    this.#limits = limits;
    this.#sessions = sessions;
  }

  /** Watches a connection from its opening until it is closed. */
  add(socket: Socket): void {
    const now = performance.now();
    this.#sockets.set(socket, {
      since: now,
      isUndecided: true,
      isEnded: false,
      waiting: 0,
      sent: 0,
      stalledSince: now,
    });
    socket.on('error', () => {}); // it closes; nobody needs to know why
    socket.once('close', () => this.#sockets.delete(socket));
    this.#timer ??= setInterval(() => this.#sweep(), sweepMs).unref();
  }

  /** Its protocol is known: who speaks it watches over headers and bodies. */
  decide(socket: Socket): void {
    const watch = this.#sockets.get(socket);
    if (watch) watch.isUndecided = false;
  }

  /** Closes those that never said anything. */
  closeUndecided(): void {
    for (const [socket, { isUndecided }] of this.#sockets) if (isUndecided) socket.destroy();
  }

  #sweep(): void {
    const now = performance.now();
    for (const [socket, watch] of this.#sockets) if (this.#isOverdue(socket, watch, now)) socket.destroy();
    this.#sessions.sweep(now);
    if (this.#sockets.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }

  #isOverdue(socket: Socket, watch: SocketWatch, now: number): boolean {
    const { headerMs, sendMs } = this.#limits;
    if (watch.isUndecided) return now - watch.since > headerMs;
    if (socket.writableEnded && !watch.isEnded) {
      watch.isEnded = true;
      watch.since = now;
    }
    const { writableLength: waiting, bytesWritten: sent } = socket;
    if (waiting === 0 || waiting !== watch.waiting || sent !== watch.sent) watch.stalledSince = now;
    watch.waiting = waiting;
    watch.sent = sent;
    return (
      now - watch.stalledSince > sendMs || (watch.isEnded && now - watch.since > headerMs && waiting === 0)
    );
  }
}
