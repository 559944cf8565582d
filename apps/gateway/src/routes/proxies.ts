import { Agent, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { Logger } from '@er-gateway/shared/logger';
import { createProxyMiddleware, type RequestHandler } from 'http-proxy-middleware';
import type { Exchange } from '../request/exchange.ts';
import { setCommonHeaders } from '../request/send-answer.ts';
import { sendError } from '../request/send-error.ts';

/** Headers of one hop: HTTP/2 refuses them with an exception, and they are not ours to pass on. */
const hopHeaders = ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'];

/** Exchanges of requests that are being proxied: the library's callbacks only know the request. */
const exchanges = new WeakMap<object, Exchange>();

/** A server behind one of our routes, as http-proxy-middleware takes it. */
export interface ProxyTarget {
  /** What callers are told it is. */
  name: string;
  target: string | { socketPath: string };
  /** Model that it serves, for the record; none when it is no model server. */
  model?: { servedName: string; host: string };
  /** Path before the rest of the request's path; the part that our route matched is cut off. */
  prefix: string;
  /** Ends an answer that goes on, cleanly, when it aborts. */
  until?: (exchange: Exchange) => AbortSignal;
}

/** Work for handleRequest that passes the request on as it is, without the key or session. */
export function createProxy(
  { name, target, model, prefix, until }: ProxyTarget,
  logger: Logger,
): (exchange: Exchange) => Promise<void> {
  const proxy: RequestHandler = createProxyMiddleware({
    target:
      typeof target === 'string'
        ? target
        : ({ ...target, protocol: 'http:', host: 'localhost', port: 80 } as never),
    agent: new Agent({ keepAlive: true, maxSockets: 64 }),
    // Express leaves '/' of a path that the mount matched whole.
    pathRewrite: path => withoutKey(`${prefix}${path.replace(/^\/(?=$|\?)/, prefix === '' ? '/' : '')}`),
    on: {
      proxyReq: (proxyRequest, req, res) => {
        proxyRequest.removeHeader('authorization');
        // Node would use a connection again that it has just asked to close, when the target's answer allows it.
        if (proxyRequest.getHeader('connection') === 'close') proxyRequest.shouldKeepAlive = false;
        const exchange = exchanges.get(req);
        proxyRequest.setHeader('x-forwarded-for', exchange?.address ?? '');
        proxyRequest.setHeader('x-forwarded-proto', exchange?.isSecure ? 'https' : 'http');
        if (exchange) {
          const { onBroken } = exchange;
          exchange.onBroken = error => {
            onBroken(error);
            proxyRequest.destroy();
          };
          if (exchange.broken) proxyRequest.destroy();
        }
        if (exchange?.trace) {
          // What the caller sent may not belong to the trace that we are in.
          proxyRequest.removeHeader('tracestate');
          proxyRequest.setHeaders(new Map(Object.entries(exchange.trace.headers)));
        }
        proxyRequest.removeHeader('cookie');
        // httpxy misses a hang-up before the first byte on HTTP/2 (nodejs/node#38916).
        res.once('close', () => {
          if (!res.writableEnded) proxyRequest.destroy();
        });
      },
      proxyRes: (proxyResponse, req, res) => {
        for (const header of hopHeaders) delete proxyResponse.headers[header];
        // With a length the answer would be whole with its last byte, before its record is kept.
        if (req.method !== 'HEAD') delete proxyResponse.headers['content-length'];
        const exchange = exchanges.get(req);
        if (!exchange) return;
        if (model) exchange.upstreams = [model.host];
        exchange.timings.end();
        setCommonHeaders(exchange);
        until?.(exchange).addEventListener('abort', () => endWhole(proxyResponse, res), { once: true });
        proxyResponse.on('data', chunk => {
          exchange.bytesOut += (chunk as Buffer).length;
        });
      },
      error: (error, req, res) => {
        const exchange = exchanges.get(req);
        if (!exchange || (res as ServerResponse).headersSent) return;
        const isAway = ['ECONNREFUSED', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '');
        sendError(
          exchange,
          isAway
            ? new RequestError('no_available_upstream', `The ${name} is not up. Try again in a moment.`, {
                retryAfterMs: 2000,
                cause: error,
              })
            : new RequestError('upstream_failed', `The ${name} broke off.`, { cause: error }),
          logger,
        );
      },
    },
  });
  return async exchange => {
    const { req } = exchange;
    exchanges.set(req, exchange);
    exchange.model = model?.servedName ?? null;
    // Paused, or listening would set off bytes that the library is not there for yet.
    req.pause().on('data', (chunk: Buffer) => {
      exchange.bytesIn += chunk.length;
    });
    if (req.httpVersionMajor === 2) sayHowBodyEnds(req as unknown as Http2ServerRequest);
    agreeToContinue(exchange);
    recordBeforeEnd(exchange);
    exchange.onBroken = error => sendError(exchange, error, logger);
    exchange.timings.enter('upstream');
    await proxy(exchange.req, exchange.res, () => {});
  };
}

/** `Expect` is between the client and us: the library would pass it on, and everything that it comes with as it is. */
function agreeToContinue({ req, res }: Exchange): void {
  if (req.headers.expect === undefined) return;
  if (/100-continue/i.test(req.headers.expect)) res.writeContinue();
  delete req.headers.expect;
}

/**
 * HTTP/2 needs no length to end a body; passed on without one it would be read as the next request on the connection to
 * the target.
 */
function sayHowBodyEnds({ headers, stream }: Http2ServerRequest): void {
  if (headers['content-length'] === undefined && !stream.endAfterHeaders)
    headers['transfer-encoding'] = 'chunked';
}

/** Ends an answer as if it were complete, and its connection, so that the client's next request finds another worker. */
function endWhole(source: IncomingMessage, res: ServerResponse): void {
  source.unpipe(res);
  // The library cuts an answer whose source is destroyed before the end, which waits for its record.
  res.once('close', () => source.destroy());
  res.end(() => {
    if (res.req.httpVersionMajor === 1) res.req.socket.end();
  });
}

/** The library ends the answer itself; the record is kept before. */
function recordBeforeEnd(exchange: Exchange): void {
  const { res } = exchange;
  const end = res.end.bind(res) as (...args: unknown[]) => typeof res;
  res.end = ((...args: unknown[]) => {
    if (exchange.isRecorded) return end(...args);
    exchange.onAnswered(() => end(...args));
    return res;
  }) as typeof res.end;
}

/** The path without `api_key`: our key is none of the target's business. */
function withoutKey(path: string): string {
  const mark = path.indexOf('?');
  if (mark < 0) return path;
  const pathname = path.slice(0, mark);
  const parameters = new URLSearchParams(path.slice(mark));
  parameters.delete('api_key');
  return parameters.size > 0 ? `${pathname}?${parameters}` : pathname;
}
