import { isUtf8 } from 'node:buffer';
import type { ServerHttp2Stream } from 'node:http2';
import type { Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import { checkShape } from './body-shape.ts';
import { ClientGone, type Exchange } from './exchange.ts';
import { HeldBodies } from './held-bodies.ts';

const decoders = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
};

/** Bodies of the largest size that this worker holds at once, and the least that it holds of small ones. */
const mostBodies = 8;
const leastHeldBytes = 64 * 1024 * 1024;

const held = new HeldBodies();

/**
 * The request's JSON body, parsed. Stops reading at `maxBytes` (counted after decompression too, so that a small bomb
 * cannot grow). Throws RequestError: 415 for another type, charset or compression, 413 over the cap, 503 while the bodies of
 * others fill the memory that is for them, 400 for no JSON and for far too many values.
 */
export async function readJsonBody(exchange: Exchange, maxBytes: number): Promise<unknown> {
  checkContentType(exchange.req.headers['content-type']);
  if (Number(exchange.req.headers['content-length'] ?? 0) > maxBytes) throw tooLarge(maxBytes);
  const body = await collect(exchange, maxBytes);
  if (!isUtf8(body)) throw invalid('The body is not valid UTF-8.');
  if (body.length === 0) throw invalid('The body is empty. Send a JSON object.');
  checkShape(body);
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (error) {
    // V8's message quotes the body; only the position may leave.
    const position = /position (\d+)/.exec((error as Error).message)?.[1];
    throw invalid(`The body is not valid JSON${position === undefined ? '' : ` (at byte ${position})`}.`);
  }
}

function checkContentType(header: string | undefined): void {
  const [type = '', ...parameters] = (header ?? '').toLowerCase().split(';');
  const isJson = type.trim() === 'application/json' || /^application\/[\w.-]+\+json$/.test(type.trim());
  if (!isJson) {
    const sent = header === undefined ? 'none was sent' : 'another one was sent';
    throw new RequestError(
      'unsupported_media_type',
      `The body must come with Content-Type: application/json; ${sent}.`,
    );
  }
  const charset = parameters
    .map(parameter => /^\s*charset="?([^"\s]*)"?\s*$/.exec(parameter)?.[1])
    .find(Boolean);
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8') {
    throw new RequestError('unsupported_media_type', 'The body must be in UTF-8.');
  }
}

function collect(exchange: Exchange, maxBytes: number): Promise<Buffer> {
  const { req, res, signal } = exchange;
  const encoding = (req.headers['content-encoding'] ?? 'identity').toLowerCase();
  const createDecoder = decoders[encoding as keyof typeof decoders];
  if (encoding !== 'identity' && createDecoder === undefined) {
    const known = Object.keys(decoders).join(', ');
    throw new RequestError(
      'unsupported_media_type',
      `This Content-Encoding is not known here; known are ${known}.`,
    );
  }
  if (req.headers.expect !== undefined) res.writeContinue();
  return new Promise((resolve, reject) => {
    const decoder = createDecoder?.();
    const source: Readable = decoder ? req.pipe(decoder) : req;
    const chunks: Buffer[] = [];
    const mostHeldBytes = Math.max(leastHeldBytes, mostBodies * maxBytes);
    let bytes = 0;
    const keyId = exchange.key?.id ?? '';
    res.once('close', () => held.release(keyId, bytes));
    req.on('data', (chunk: Buffer) => {
      exchange.bytesIn += chunk.length;
    });
    const finish = (error: Error | null) => {
      source.off('data', onData);
      if (decoder) req.unpipe(decoder);
      decoder?.destroy();
      if (error) reject(error);
      else resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, bytes));
    };
    const onData = (chunk: Buffer) => {
      bytes += chunk.length;
      chunks.push(chunk);
      const hasRoom = held.add(keyId, chunk.length, bytes, mostHeldBytes);
      if (bytes > maxBytes) finish(tooLarge(maxBytes));
      else if (!hasRoom) finish(tooManyBodies());
    };
    source.on('data', onData);
    // HTTP/2 ends the body of a request that was reset as if it were whole; its stream is closed by then.
    const { stream } = req as { stream?: ServerHttp2Stream };
    source.once('end', () => finish(stream?.closed ? new ClientGone() : null));
    decoder?.once('error', () => finish(invalid(`The body is not valid ${encoding}.`)));
    req.once('error', () => finish(new ClientGone()));
    exchange.onBroken = finish;
    signal.addEventListener('abort', () => finish(new ClientGone()), { once: true });
  });
}

const invalid = (message: string) => new RequestError('invalid_request', message);

const tooManyBodies = () =>
  new RequestError(
    'overloaded',
    'The bodies of other requests fill the memory that is for them. Try again in a moment, or send fewer inputs at once.',
    { retryAfterMs: 1000 },
  );

const tooLarge = (maxBytes: number) =>
  new RequestError(
    'request_too_large',
    `The body is over the limit of ${maxBytes} bytes. Send fewer inputs at once, or raise gateway.max_body_bytes.`,
  );
