import { readFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { Server as NetServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import { ConfigError } from '@er-gateway/shared/errors/config-error';

/**
 * Idle connections are kept longer than common proxies keep theirs (60 s), so that it is the proxy that closes them: a
 * request sent while we close is lost.
 */
const keepAliveMs = 75_000;
const headersTimeoutMs = 60_000;
/** How long idle connections may stay when a worker stops: a client's next request on them is answered, then closed. */
const idleGraceMs = 2500;
const drainPollMs = 50;

/** The gateway's open port. */
export class Listener {
  readonly #server: Server;
  readonly #config: EffectiveConfig['gateway'];
  isDraining = false;
  /** Open connections of clients. */
  connections = 0;

  constructor(app: RequestListener, config: EffectiveConfig['gateway']) {
    this.#config = config;
    this.#server =
      config.tls.cert && config.tls.key
        ? createTlsServer({ cert: readPem(config.tls.cert, 'cert'), key: readPem(config.tls.key, 'key') })
        : createServer();
    this.#server.keepAliveTimeout = keepAliveMs;
    this.#server.headersTimeout = headersTimeoutMs;
    const serve: RequestListener = (req, res) => {
      if (this.isDraining) res.setHeader('connection', 'close');
      app(req, res);
    };
    this.#server.on('request', serve);
    this.#server.on('connection', socket => {
      this.connections++;
      socket.once('close', () => this.connections--);
    });
    // Node would say "continue" by itself; the body must wait until the key is known.
    this.#server.on('checkContinue', serve);
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
  }

  /**
   * Takes no new connections, answers what is under way, and returns when the last connection is gone. Not
   * `http.Server.close`, which cuts idle connections at once: clients that reuse one in that moment would get a reset.
   */
  async drain(): Promise<void> {
    this.isDraining = true;
    const closed = new Promise<void>(resolve =>
      NetServer.prototype.close.call(this.#server, () => resolve()),
    );
    const watching = new AbortController();
    const closeIdle = async () => {
      await delay(idleGraceMs, null, { signal: watching.signal });
      for (;;) {
        this.#server.closeIdleConnections();
        await delay(drainPollMs, null, { signal: watching.signal });
      }
    };
    closeIdle().catch(() => {});
    await closed;
    watching.abort();
  }
}

function readPem(path: string, setting: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new ConfigError([
      `gateway.tls.${setting}: ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`,
    ]);
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
