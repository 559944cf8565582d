import { randomUUID } from 'node:crypto';
import type { Role } from '@er-gateway/shared/config/schema';
import type { RequestError } from '@er-gateway/shared/errors/request-error';
import type { Job } from '@er-gateway/shared/scheduler-protocol';
import type { KeyRecord, WorkCost, WorkLimits, WorkUnit } from '@er-gateway/shared/state/store';
import type { Request, Response } from 'express';
import type { Dialect } from '../dialects/dialect.ts';
import type { RequestTrace } from '../tracing/request-tracer.ts';
import type { CallerView } from './caller-address.ts';
import type { RequestWishes } from './read-wishes.ts';
import { RequestTimings } from './timings.ts';

/** What is fixed about a route before any request comes. */
export interface Route {
  /** Pattern for metrics and the audit trail: `/v1/embeddings`. */
  name: string;
  /** Who may use it. */
  access: 'public' | 'key' | 'admin';
  /** Whether a request counts against the key's requests a minute. Administration does not, or it would lock itself out. */
  isCharged: boolean;
  /** Language of its answers and errors before the body is known; null is OpenAI's. */
  dialect: Dialect | null;
  /** Whose session a request without a key belongs to; null when it has none. Routes without this take no sessions. */
  keyOfSession?: (req: Request) => Promise<KeyRecord | null>;
}

/** A change of keys as the audit trail tells it: never a key or its hash. */
export interface AdminChange {
  action: 'create' | 'update' | 'revoke' | 'rotate' | 'import';
  /** Ids of the keys concerned. */
  key_ids: string[];
  /** What they were given. */
  settings?: Record<string, unknown>;
  /** Left out of a change that was made. `unknown`: it was sent to the store, which has not answered (yet). */
  applied?: false | 'unknown';
}

/** What a request has cost its key, and by which limits it was judged. */
export interface Charge {
  limits: WorkLimits;
  cost: WorkCost;
}

/** What a client may call its request: anything that is safe in a header and a log line. */
const acceptableId = /^[\w.:-]{1,128}$/;

/** One request and its answer, with what is known of them so far. Made at arrival, recorded when the answer has ended. */
export class Exchange {
  readonly req: Request;
  readonly res: Response;
  readonly route: Route;
  readonly id: string;
  /** IP address of who asks, behind the proxies that are trusted. */
  readonly address: string;
  readonly isSecure: boolean;
  readonly timings = new RequestTimings();
  /** Aborts when the client hangs up. */
  readonly signal: AbortSignal;
  wishes: RequestWishes = { priority: 'interactive', timeoutMs: null, noStore: false };
  key: KeyRecord | null = null;
  /** What the key has used up of its limits; null before it was charged. */
  usage: { limits: WorkLimits; used: WorkCost; resetMs: number } | null = null;
  /** What the request was charged that could be put right, and what it is still to be charged. */
  charge: Charge | null = null;
  uncharged: Charge | null = null;
  /** Language of its answers and errors; null is OpenAI's. */
  dialect: Dialect | null;
  /** For the record. */
  role: Role | null = null;
  /** What a model is asked for; null when none is. */
  work: Job['kind'] | null = null;
  model: string | null = null;
  inputs = 0;
  promptTokens = 0;
  cacheHits = 0;
  /** `host:port` of the model servers that worked on it; none when all of it was in the cache. */
  upstreams: readonly string[] = [];
  bytesIn = 0;
  /** Of the answer's body. */
  bytesOut = 0;
  errorCode: string | null = null;
  /** The limit a minute that it was refused by. */
  limitHit: WorkUnit | null = null;
  /** null when traces are off. */
  trace: RequestTrace | null = null;
  errorMessage: string | null = null;
  /** What an administrator changed. */
  change: AdminChange | null = null;
  isRecorded = false;
  /** Keeps the record, then calls `then`; set by the recorder. */
  onAnswered: (then: () => void) => void = then => then();
  /** Why its body will not come whole; null as long as it may. */
  broken: RequestError | null = null;
  /** Whoever reads the body hears of that here. */
  onBroken: (error: RequestError) => void = () => {};

  constructor(req: Request, res: Response, route: Route, callers: CallerView) {
    this.req = req;
    this.res = res;
    this.route = route;
    this.dialect = route.dialect;
    this.address = callers.callerAddress(req);
    this.isSecure = callers.isSecure(req);
    const wanted = req.headers['x-request-id'];
    connectionOf(req)[newest] = this;
    this.id = typeof wanted === 'string' && acceptableId.test(wanted) ? wanted : randomUUID();
    const hangUp = new AbortController();
    this.signal = hangUp.signal;
    res.once('close', () => {
      if (!res.writableEnded) hangUp.abort(new ClientGone());
    });
  }

  /** The rest of the body is no body, or does not come. The connection ends with the answer. */
  breakOff(error: RequestError): void {
    this.broken = error;
    if (this.req.httpVersionMajor === 1 && !this.res.headersSent) this.res.setHeader('connection', 'close');
    this.onBroken(error);
  }
}

/** Where a connection of HTTP/1.1, or a stream of HTTP/2, has its newest exchange. A WeakMap would let requests grow old. */
const newest = Symbol('newest exchange');

type Connection = object & { [newest]?: Exchange };

const connectionOf = (req: Request): Connection => (req as { stream?: object }).stream ?? req.socket;

/** The exchange that came last on a connection of HTTP/1.1 or a stream of HTTP/2. */
export const exchangeOn = (connection: Connection): Exchange | undefined => connection[newest];

/** Ends an answer: whoever sends its last byte does it here, because the record is kept first. */
export function endAnswer(
  exchange: Exchange,
  lastBody?: string | Buffer,
  encoding?: 'latin1' | 'utf8',
): void {
  const end = () => exchange.res.end(lastBody, encoding ?? 'utf8');
  if (exchange.isRecorded) end();
  else exchange.onAnswered(end);
}

/** The client closed its connection before its answer was complete. */
export class ClientGone extends Error {
  constructor() {
    super('the client hung up');
    this.name = 'ClientGone';
  }
}
