import type { IncomingHttpHeaders } from 'node:http';
import { RequestError } from '@er-gateway/shared/errors/request-error';

/** What a client asks for in headers, beside its dialect. */
export interface RequestWishes {
  /** `X-ER-Priority: bulk` lets others go first. */
  priority: 'interactive' | 'bulk';
  /** `X-ER-Timeout-Ms`: how long the client waits; the gateway's own time-out when it is shorter. */
  timeoutMs: number | null;
  /** `Cache-Control: no-store`: keep the cache out of it. */
  noStore: boolean;
}

/** Reads them. Throws RequestError for a value that cannot be meant. */
export function readWishes(headers: IncomingHttpHeaders): RequestWishes {
  const priority = headers['x-er-priority'] ?? 'interactive';
  if (priority !== 'interactive' && priority !== 'bulk')
    throw wrong('X-ER-Priority', '"interactive" or "bulk"');
  const timeout = headers['x-er-timeout-ms'];
  if (timeout !== undefined && !/^[1-9]\d{0,8}$/.test(String(timeout))) {
    throw wrong('X-ER-Timeout-Ms', 'a number of milliseconds above 0');
  }
  return {
    priority,
    timeoutMs: timeout === undefined ? null : Number(timeout),
    noStore: /(^|[\s,])no-store($|[\s,;])/i.test(headers['cache-control'] ?? ''),
  };
}

const wrong = (header: string, wanted: string) =>
  new RequestError('invalid_request', `The header ${header} must be ${wanted}.`, { param: header });
