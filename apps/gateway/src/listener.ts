import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createHttp2Server, type Http2Server } from 'node:http2';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { Server as NetServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import { ConfigError } from '@er-gateway/shared/errors/config-error';
import type { Logger } from '@er-gateway/shared/logger';
import type { GatewayApp } from './app.ts';
import { noTunnels } from './transport/broken-requests.ts';
import { type ConnectionLimits, Connections } from './transport/connections.ts';
import { createHttp2Handler } from './transport/http2-handler.ts';
import { Http2Sessions } from './transport/http2-sessions.ts';
import { readProtocol } from './transport/read-protocol.ts';
import { TlsFiles } from './transport/tls-files.ts';

/** How long idle connections may stay when a worker stops: a client's next request on them is answered, then closed. */
const idleGraceMs = 2500;
const drainPollMs = 50;
/** Of a request, name and value of each field and what HTTP/2 adds to it; Node's own limit for HTTP/1.1. */
const maxHeaderBytes = 16_384;

/** The gateway's open port: HTTP/1.1 and HTTP/2 side by side, by ALPN with TLS and by an HTTP/2 client's first bytes without. */
export class Listener {
  readonly #server: Server | TlsServer;
  readonly #app: GatewayApp;
  readonly #config: EffectiveConfig['gateway'];
  readonly #sessions: Http2Sessions;
  readonly #connections: Connections;
  readonly #tlsFiles: TlsFiles | null;
  #http2: Http2Server | undefined;
  readonly #draining = new AbortController();
  /** Open connections of clients. */
  connections = 0;

  /** Throws ConfigError when the TLS files cannot be used. */
  constructor(app: GatewayApp, config: EffectiveConfig['gateway'], logger: Logger) {
    this.#app = app;
    this.#config = config;
    const limits: ConnectionLimits = {
      headerMs: config.header_timeout_seconds * 1000,
      bodyMs: config.body_timeout_seconds * 1000,
      sendMs: config.send_timeout_seconds * 1000,
      keepAliveMs: config.keep_alive_seconds * 1000,
    };
    this.#sessions = new Http2Sessions(limits);
    this.#connections = new Connections(limits, this.#sessions);
    const http1 = {
      ...app.messages,
      keepAliveTimeout: limits.keepAliveMs,
      headersTimeout: limits.headerMs,
      requestTimeout: limits.headerMs + limits.bodyMs,
      connectionsCheckingInterval: Math.min(5000, limits.headerMs),
      maxHeaderSize: maxHeaderBytes,
    };
    const { cert, key } = config.tls;
    this.#tlsFiles = cert && key ? new TlsFiles({ cert, key }, logger) : null;
    this.#server = this.#tlsFiles
      ? createTlsServer({
          ...http1,
          ...this.#tlsFiles.context,
          ALPNProtocols: ['h2', 'http/1.1'],
          handshakeTimeout: limits.headerMs,
        })
      : createServer(http1);
    this.#server.keepAliveTimeout = limits.keepAliveMs;
    const serve: RequestListener = (req, res) => {
      if (this.isDraining) res.setHeader('connection', 'close');
      app.app(req as never, res as never, error => app.answerUnrouted(error, req as never, res as never));
    };
    this.#server.on('request', serve);
    // Node would say "continue" by itself; the body must wait until the key is known.
    this.#server.on('checkContinue', serve);
    // Other expectations may be ignored (RFC 9110, section 10.1.1).
    this.#server.on('checkExpectation', serve);
    this.#server.on('clientError', (error, socket) =>
      app.brokenRequests.onClientError(error, socket as Socket),
    );
    this.#server.on('connect', (_request, socket) =>
      app.brokenRequests.refuse(socket as Socket, noTunnels()),
    );
    this.#chooseProtocols();
    this.#server.on('connection', socket => {
      this.connections++;
      socket.once('close', () => this.connections--);
    });
  }

  /** Aborts when this worker begins to stop. */
  get draining(): AbortSignal {
    return this.#draining.signal;
  }

  get isDraining(): boolean {
    return this.draining.aborted;
  }

  /** Listens. Throws ConfigError when the port is taken. */
  async listen(): Promise<void> {
    const { host, port } = this.#config;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) =>
        reject(explainListenError(error, host, port)),
      );
      this.#server.listen({ host, port }, resolve);
    });
    this.#tlsFiles?.watch(context => (this.#server as TlsServer).setSecureContext(context));
  }

  /**
   * Takes no new connections, answers what is under way, and returns when the last connection is gone. Not
   * `http.Server.close`, which cuts idle connections at once: clients that reuse one in that moment would get a reset.
   */
  async drain(): Promise<void> {
    this.#draining.abort();
    this.#tlsFiles?.close();
    const closed = new Promise<void>(resolve =>
      NetServer.prototype.close.call(this.#server, () => resolve()),
    );
    this.#sessions.announceEnd();
    const watching = new AbortController();
    const closeIdle = async () => {
      await delay(idleGraceMs, null, { signal: watching.signal });
      this.#sessions.close();
      for (;;) {
        this.#connections.closeUndecided();
        this.#server.closeIdleConnections();
        await delay(drainPollMs, null, { signal: watching.signal });
      }
    };
    closeIdle().catch(() => {});
    await closed;
    watching.abort();
  }

  /** Stands between a new connection and Node's HTTP/1.1: it gets those that speak it. */
  #chooseProtocols(): void {
    const server = this.#server;
    const opened = this.#tlsFiles ? 'secureConnection' : 'connection';
    const [serveHttp1] = server.listeners(opened) as ((socket: Socket) => void)[];
    if (!serveHttp1) throw new Error(`Node's HTTP server does not listen to ${opened}`);
    server.removeAllListeners(opened);
    server.on(opened, (socket: Socket) => {
      this.#connections.add(socket);
      const begin = (protocol: unknown) => {
        this.#connections.decide(socket);
        if (protocol === 'h2') {
          // As Node's own HTTP/2 server has it: a client that closed its side is gone.
          socket.allowHalfOpen = false;
          this.#http2Server().emit('connection', socket);
        } else serveHttp1.call(server, socket);
      };
      if (this.#tlsFiles) begin((socket as TLSSocket).alpnProtocol);
      else
        readProtocol(socket, protocol => {
          begin(protocol);
          if (protocol === 'http/1.1') socket.resume();
        });
    });
  }

  /** Made for the first client that speaks HTTP/2: most workers never load it. */
  #http2Server(): Http2Server {
    if (this.#http2) return this.#http2;
    const { handle, ...classes } = createHttp2Handler(this.#app);
    const server = createHttp2Server({
      ...classes,
      settings: {
        maxConcurrentStreams: this.#config.max_concurrent_streams,
        maxHeaderListSize: maxHeaderBytes,
        enablePush: false,
      },
      // Resets that a client may send at once, and each second (CVE-2023-44487): twice all that it may have open.
      streamResetBurst: 2 * this.#config.max_concurrent_streams,
      streamResetRate: 33,
      maxSessionInvalidFrames: 100,
    } as Parameters<typeof createHttp2Server>[0]);
    server.on('session', session => this.#sessions.add(session));
    server.on('request', handle);
    server.on('checkContinue', handle);
    server.on('checkExpectation', handle);
    server.on('connect', handle);
    this.#http2 = server;
    return server;
  }
}

function explainListenError(error: NodeJS.ErrnoException, host: string, port: number): Error {
  if (error.code === 'EADDRINUSE') {
    return new ConfigError([
      `gateway.port: ${host}:${port} is taken by another program (find it with: ss -ltnp 'sport = :${port}'). Stop it, or set ER_GATEWAY_PORT.`,
    ]);
  }
  if (error.code === 'EACCES') {
    return new ConfigError([`gateway.port: this user may not listen on port ${port}. Take one above 1023.`]);
  }
  if (error.code === 'EADDRNOTAVAIL')
    return new ConfigError([`gateway.host: ${host} is no address of this machine.`]);
  return error;
}
