import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { exchangeOn } from '../request/exchange.ts';
import { requestTimeout } from './broken-requests.ts';
import type { ConnectionLimits } from './connections.ts';

/** Error codes of HTTP/2 (RFC 9113, section 7). */
const noError = 0;
const cancelled = 8;
const enhanceYourCalm = 11;
/** The largest id of a stream: "you may open no more, and everything that you opened is answered". */
const lastPossibleStream = 2 ** 31 - 1;
/** PING and SETTINGS frames that a client may send between two looks, a second apart. gRPC clients send tens. */
const mostControlFrames = 200;

interface StreamWatch {
  openedAt: number;
  waiting: number;
  stalledSince: number;
}

interface SessionWatch {
  streams: Map<ServerHttp2Stream, StreamWatch>;
  /** Since when it has had no open stream. */
  idleSince: number;
  hadStream: boolean;
  controlFrames: number;
}

/**
 * The HTTP/2 connections, with the time-outs that Node has for HTTP/1.1 alone, and a limit on frames that make work and
 * are no requests. Resets (CVE-2023-44487), CONTINUATION and empty frames are limited by nghttp2 itself.
 */
export class Http2Sessions {
  readonly #sessions = new Map<ServerHttp2Session, SessionWatch>();
  readonly #limits: ConnectionLimits;
  #isDraining = false;

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Watches a session until it is closed. */
  add(session: ServerHttp2Session): void {
    const watch: SessionWatch = {
      streams: new Map(),
      idleSince: performance.now(),
      hadStream: false,
      controlFrames: 0,
    };
    this.#sessions.set(session, watch);
    session.once('close', () => this.#sessions.delete(session));
    session.on('stream', (stream: ServerHttp2Stream) => {
      const now = performance.now();
      watch.hadStream = true;
      const seen = { openedAt: now, waiting: 0, stalledSince: now };
      watch.streams.set(stream, seen);
      // A reader that keeps pace may leave as much waiting at each look, of parts of one length.
      stream.on('drain', () => {
        seen.stalledSince = performance.now();
      });
      stream.once('close', () => {
        watch.streams.delete(stream);
        if (watch.streams.size === 0) watch.idleSince = performance.now();
      });
    });
    const countControlFrame = () => {
      watch.controlFrames++;
      if (watch.controlFrames > mostControlFrames) session.destroy(undefined, enhanceYourCalm);
    };
    session.on('ping', countControlFrame);
    session.on('remoteSettings', countControlFrame);
    if (this.#isDraining) session.close();
  }

  /** Closes what is overdue: sessions without requests, requests without a body, answers that nobody takes. */
  sweep(now: number): void {
    const { headerMs, keepAliveMs } = this.#limits;
    for (const [session, watch] of this.#sessions) {
      watch.controlFrames = 0;
      for (const [stream, seen] of watch.streams) if (this.#isOverdue(stream, seen, now)) refuse(stream);
      const idleMs = watch.streams.size === 0 ? now - watch.idleSince : 0;
      if (!watch.hadStream && idleMs > headerMs) session.destroy();
      else if (idleMs > keepAliveMs) session.close();
    }
  }

  /** Tells clients to open no more streams here; what they opened before they heard of it is answered. */
  announceEnd(): void {
    this.#isDraining = true;
    for (const session of this.#sessions.keys()) {
      if (!session.closed && !session.destroyed) session.goaway(noError, lastPossibleStream);
    }
  }

  /** Ends each session when its last stream has ended. */
  close(): void {
    for (const session of this.#sessions.keys()) session.close();
  }

  #isOverdue(stream: ServerHttp2Stream, seen: StreamWatch, now: number): boolean {
    const { bodyMs, sendMs } = this.#limits;
    const waiting = stream.writableFinished ? 0 : stream.writableLength;
    if (waiting === 0 || waiting !== seen.waiting) seen.stalledSince = now;
    seen.waiting = waiting;
    return (isBodyOpen(stream) && now - seen.openedAt > bodyMs) || now - seen.stalledSince > sendMs;
  }
}

const isBodyOpen = (stream: ServerHttp2Stream) => !stream.endAfterHeaders && !stream.readableEnded;

/** Answers a request whose body does not come; at the next look, and for all else that is overdue, its stream is reset. */
function refuse(stream: ServerHttp2Stream): void {
  const exchange = exchangeOn(stream);
  if (exchange && isBodyOpen(stream) && !stream.headersSent && exchange.broken === null)
    exchange.breakOff(requestTimeout());
  else stream.close(cancelled);
}
