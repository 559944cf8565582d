import { workUnits } from '@er-gateway/shared/state/store';
import cors from 'cors';
import type { RequestHandler } from 'express';
import type { CallerView } from '../request/caller-address.ts';
import { type Exchange, endAnswer } from '../request/exchange.ts';

/** Answer headers that a page may read, beside those that browsers always show. */
const exposed = [
  'x-request-id',
  'server-timing',
  'retry-after',
  'retry-after-ms',
  ...workUnits.flatMap(unit => ['limit', 'remaining', 'reset'].map(what => `x-ratelimit-${what}-${unit}`)),
  'x-er-engine',
  'x-er-cache',
  'x-er-truncated',
];
/** How long a browser may keep the answer to its question, in seconds; Chromium keeps it for 2 hours at most. */
const preflightSeconds = 7200;

/**
 * Lets pages of these origins call from a browser (`gateway.cors_origins`); their questions (preflight requests) carry no
 * key and are answered before one is asked for, by answerPreflight. Cookies are never part of it: a page sends a key of its own.
 */
export const allowOrigins = (origins: readonly string[]): RequestHandler =>
  cors({
    origin: origins.includes('*') ? '*' : [...origins],
    methods: ['GET', 'POST'],
    exposedHeaders: exposed,
    maxAge: preflightSeconds,
    preflightContinue: true,
  });

/** Answers a browser's question, whose headers are there already, with a record as every request has one. */
export function answerPreflight(exchange: Exchange): void {
  exchange.res.statusCode = 204;
  exchange.res.setHeader('x-request-id', exchange.id);
  exchange.res.setHeader('content-length', 0);
  endAnswer(exchange);
}

/** Tells browsers to come over HTTPS only, on answers that go over HTTPS (`gateway.tls.hsts_seconds`; RFC 6797). */
export function sendHsts(seconds: number, { isSecure }: CallerView): RequestHandler {
  const value = `max-age=${seconds}`;
  return (req, res, next) => {
    if (isSecure(req as Parameters<typeof isSecure>[0])) res.setHeader('strict-transport-security', value);
    next();
  };
}
