import {
  type Http2ServerRequest as Http2Request,
  type Http2ServerResponse as Http2Response,
  Http2ServerRequest,
  Http2ServerResponse,
} from 'node:http2';
import express, { type Request, type Response } from 'express';
import type { GatewayApp } from '../app.ts';

/** What an HTTP/2 server needs to serve an Express application. */
export interface Http2Handler {
  Http2ServerRequest: typeof Http2ServerRequest;
  Http2ServerResponse: typeof Http2ServerResponse;
  handle: (req: Http2Request, res: Http2Response) => void;
}

/**
 * Lets an Express 5 application answer HTTP/2. Express gives each request the prototype `app.request`, which is made for
 * HTTP/1.1 (express #5462): for the time in which it does so, it finds prototypes here that have Express's methods over
 * Node's HTTP/2 classes. The requests are of these classes already, so nothing of them changes.
 */
export function createHttp2Handler({ app, answerUnrouted }: GatewayApp): Http2Handler {
  const own = { app: { configurable: true, enumerable: true, writable: true, value: app } };
  class ExpressRequest extends Http2ServerRequest {}
  class ExpressResponse extends Http2ServerResponse {}
  Object.defineProperties(ExpressRequest.prototype, {
    ...Object.getOwnPropertyDescriptors(express.request),
    ...own,
  });
  Object.defineProperties(ExpressResponse.prototype, {
    ...Object.getOwnPropertyDescriptors(express.response),
    ...own,
  });
  const { request, response } = app;
  return {
    Http2ServerRequest: ExpressRequest,
    Http2ServerResponse: ExpressResponse as typeof Http2ServerResponse,
    handle: (req, res) => {
      req.url ??= ''; // a CONNECT has none
      req.headers.host ??= req.headers[':authority'];
      app.request = ExpressRequest.prototype as unknown as Request;
      app.response = ExpressResponse.prototype as unknown as Response;
      try {
        app(req as never, res as never, error => answerUnrouted(error, req as never, res as never));
      } finally {
        app.request = request;
        app.response = response;
      }
    },
  };
}
