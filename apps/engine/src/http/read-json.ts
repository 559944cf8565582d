import type { IncomingMessage } from 'node:http';
import { BodyTooLargeError, InvalidBodyError } from '../engine-error.ts';

/** More than the gateway ever sends, so that a stray client cannot take all memory. */
const maxBodyBytes = 128 * 1024 * 1024;

/** The request's body, parsed. Throws EngineError when it is not JSON, or larger than 128 MiB. */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const [mediaType] = (request.headers['content-type'] ?? '').split(';');
  if (mediaType?.trim().toLowerCase() !== 'application/json')
    throw new InvalidBodyError(["Unsupported Media Type: Only 'application/json' is allowed"], null);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) throw new BodyTooLargeError(maxBodyBytes);
    chunks.push(chunk);
  }
  if (bytes === 0) throw new InvalidBodyError(['body: Field required'], 'body');
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    // The parser's own message quotes the text.
    throw new InvalidBodyError(['body: JSON decode error'], 'body');
  }
}
