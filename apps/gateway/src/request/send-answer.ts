import { setImmediate as nextTurn } from 'node:timers/promises';
import type { AnswerBody } from '../dialects/dialect.ts';
import { ClientGone, type Exchange } from './exchange.ts';

/** Answers up to this size are sent whole, with Content-Length; larger ones as they are made. */
const wholeUpToBytes = 128 * 1024;

/** Sends a 200. Large answers are made and sent a part at a time, at the client's pace, letting other requests in between. */
export async function sendAnswer(exchange: Exchange, body: AnswerBody): Promise<void> {
  if (typeof body === 'string' || Buffer.isBuffer(body)) return sendWhole(exchange, 200, body);
  const parts = body[Symbol.iterator]();
  const first = takeUpTo(parts, wholeUpToBytes);
  if (first.isLast) return sendWhole(exchange, 200, first.bytes);
  const { res } = exchange;
  setCommonHeaders(exchange);
  res.writeHead(200, { 'content-type': 'application/json' });
  for (let slice = first; ; slice = takeUpTo(parts, wholeUpToBytes)) {
    if (exchange.signal.aborted) throw new ClientGone();
    if (!res.write(slice.bytes)) await drained(exchange);
    if (slice.isLast) break;
    await nextTurn();
  }
  exchange.timings.end('write');
  res.end();
}

/** Sends an answer or an error of any status in one piece. */
export function sendWhole(exchange: Exchange, status: number, body: string | Buffer): void {
  const { res, req } = exchange;
  exchange.timings.end('write');
  setCommonHeaders(exchange);
  res.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  res.end(req.method === 'HEAD' ? undefined : body);
}

/** Headers of every answer to a key, however it ends. */
export function setCommonHeaders({ res, id, limit, timings }: Exchange): void {
  res.setHeader('x-request-id', id);
  res.setHeader('server-timing', timings.toHeader());
  if (limit) {
    res.setHeader('x-ratelimit-limit-requests', limit.limit);
    res.setHeader('x-ratelimit-remaining-requests', limit.remaining);
    res.setHeader('x-ratelimit-reset-requests', toDuration(limit.resetMs));
  }
}

/** Milliseconds as OpenAI writes them: `12ms`, `1s`, `6m0s`. */
function toDuration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.max(0, Math.ceil(milliseconds))}ms`;
  const seconds = Math.ceil(milliseconds / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}

function takeUpTo(parts: Iterator<Buffer>, bytes: number): { bytes: Buffer; isLast: boolean } {
  const taken: Buffer[] = [];
  let size = 0;
  while (size < bytes) {
    const { value, done } = parts.next();
    if (done) return { bytes: Buffer.concat(taken, size), isLast: true };
    taken.push(value);
    size += value.length;
  }
  return { bytes: Buffer.concat(taken, size), isLast: false };
}

function drained({ res, signal }: Exchange): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(new ClientGone());
    res.once('drain', () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
