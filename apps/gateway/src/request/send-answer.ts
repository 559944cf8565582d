import type { Writable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { workUnits } from '@er-gateway/shared/state/store';
import type { AnswerBody, AnswerForm } from '../dialects/dialect.ts';
import { type BodyPart, BodyWriter } from '../wire/body-writer.ts';
import { chooseCoding } from '../wire/content-coding.ts';
import { ClientGone, type Exchange, endAnswer } from './exchange.ts';

/** Answers up to this size are sent whole, with Content-Length; larger ones as they are made. */
const wholeUpToBytes = 128 * 1024;

/** Answers below this size cost more to compress than a local network needs to carry them: one float vector has 13 kB. */
const worthCompressingBytes = 32 * 1024;

const jsonType = 'application/json';

const bodies = new BodyWriter();

/**
 * Sends a 200. Large answers are made and sent a part at a time, at the client's pace, letting other requests in between,
 * and compressed when the client asks for it.
 */
export async function sendAnswer(
  exchange: Exchange,
  body: AnswerBody,
  { contentType = jsonType, headers = {}, isDense = false }: AnswerForm = {},
): Promise<void> {
  const { res, req } = exchange;
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  const whole = typeof body === 'string' || Buffer.isBuffer(body);
  const parts: Iterator<BodyPart> = (whole ? [body] : body)[Symbol.iterator]();
  const first = bodies.writeUpTo(parts, wholeUpToBytes);
  const mayCompress = !isDense && first.body.length >= worthCompressingBytes;
  if (mayCompress) res.vary('accept-encoding');
  const coding = mayCompress ? chooseCoding(req.headers['accept-encoding']) : null;
  if (first.isLast && coding === null) return sendWhole(exchange, 200, first.body, contentType);

  setCommonHeaders(exchange);
  res.writeHead(200, { 'content-type': contentType, ...(coding && { 'content-encoding': coding.name }) });
  const encoder = coding?.createEncoder();
  const count = (bytes: Buffer) => {
    exchange.bytesOut += bytes.length;
  };
  encoder?.on('data', count).pipe(res, { end: false });
  const target = encoder ?? res;
  try {
    for (let slice = first; ; slice = bodies.writeUpTo(parts, wholeUpToBytes)) {
      if (exchange.signal.aborted) throw new ClientGone();
      if (!encoder) count(slice.body);
      if (!target.write(slice.body)) await drained(target, exchange.signal);
      if (slice.isLast) break;
      await nextTurn();
    }
  } catch (error) {
    encoder?.destroy();
    throw error;
  }
  exchange.timings.end();
  if (encoder) encoder.once('end', () => endAnswer(exchange)).end();
  else endAnswer(exchange);
}

/** Sends an answer or an error of any status in one piece. */
export function sendWhole(
  exchange: Exchange,
  status: number,
  body: string | Buffer,
  contentType = jsonType,
): void {
  const { res, req } = exchange;
  exchange.timings.end();
  setCommonHeaders(exchange);
  const bytes = Buffer.byteLength(body);
  // Not by writeHead, which over HTTP/2 sends the head at once: an answer to HEAD is whole with it, and its record is not kept yet.
  res.statusCode = status;
  res.setHeader('content-type', contentType);
  res.setHeader('content-length', bytes);
  const sent = req.method === 'HEAD' ? undefined : body;
  exchange.bytesOut = sent === undefined ? 0 : bytes;
  // As many bytes as characters: ASCII, which goes out without being looked at again.
  endAnswer(exchange, sent, bytes === body.length ? 'latin1' : 'utf8');
}

/** Headers of every answer to a key, however it ends. */
export function setCommonHeaders({ res, id, usage, timings }: Exchange): void {
  res.setHeader('x-request-id', id);
  res.setHeader('server-timing', timings.toHeader());
  if (!usage) return;
  const reset = toDuration(usage.resetMs);
  for (const unit of workUnits) {
    const limit = usage.limits[unit];
    if (limit === null) continue;
    res.setHeader(`x-ratelimit-limit-${unit}`, limit);
    res.setHeader(`x-ratelimit-remaining-${unit}`, Math.max(0, limit - usage.used[unit]));
    res.setHeader(`x-ratelimit-reset-${unit}`, reset);
  }
}

/** Milliseconds as OpenAI writes them: `12ms`, `1s`, `6m0s`. */
function toDuration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.max(0, Math.ceil(milliseconds))}ms`;
  const seconds = Math.ceil(milliseconds / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}

function drained(target: Writable, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(new ClientGone());
    target.once('drain', () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
