import type { ServerHttp2Stream } from 'node:http2';
import { toRequestError } from '@er-gateway/shared/errors/request-error';
import { describeError, type Logger } from '@er-gateway/shared/logger';
import { openaiErrors } from '../dialects/error-shapes.ts';
import { ClientGone, type Exchange } from './exchange.ts';
import { sendWhole } from './send-answer.ts';

/** How long a client may go on sending a body that was refused, in milliseconds. */
const lingerMs = 5000;

/**
 * The one place where an error becomes an answer, in the dialect of its route. Logs faults of ours (5xx) with their
 * cause; a client's mistakes are in the audit trail only.
 */
export function sendError(exchange: Exchange, thrown: unknown, logger: Logger): void {
  const { res, id } = exchange;
  exchange.timings.fail();
  if (thrown instanceof ClientGone) {
    exchange.errorCode = 'client_closed_request';
    return;
  }
  const error = toRequestError(thrown);
  exchange.errorCode = error.code;
  exchange.errorMessage = error.message;
  if (error.status >= 500 && error.status !== 503) {
    logger.error(`request failed: ${error.code}`, {
      requestId: id,
      cause: describeError(error.cause ?? error),
    });
  }
  if (res.headersSent) {
    res.destroy(); // a cut answer must not look whole
    return;
  }
  for (const [name, value] of Object.entries(error.headers)) res.setHeader(name, value);
  if (error.retryAfterMs !== null) {
    res.setHeader('retry-after', Math.max(1, Math.ceil(error.retryAfterMs / 1000)));
    res.setHeader('retry-after-ms', Math.max(1, Math.ceil(error.retryAfterMs)));
  }
  // OpenAI's clients try again after any 5xx; the same request would find the same fault.
  if (error.code === 'internal_error') res.setHeader('x-should-retry', 'false');
  stopReading(exchange);
  sendWhole(
    exchange,
    error.status,
    JSON.stringify((exchange.dialect?.errors ?? openaiErrors).toBody(error, id)),
  );
}

/**
 * The answer may be on its way while the client still sends. What comes is dropped (closing at once would reset the
 * connection before the client has read the answer), for a while.
 */
function stopReading({ req, res }: Exchange): void {
  if (req.complete) return;
  const { stream } = req as { stream?: ServerHttp2Stream };
  if (stream) {
    // A client of HTTP/2 sends no more than it was granted, and takes this for what it is (RFC 9113, section 8.1).
    stream.once('finish', () => stream.close());
    return;
  }
  if (req.headers.expect !== undefined) {
    res.setHeader('connection', 'close'); // it was never told to continue
    return;
  }
  const timer = setTimeout(() => req.socket.destroy(), lingerMs);
  timer.unref();
  req.once('close', () => clearTimeout(timer));
  req.once('end', () => clearTimeout(timer));
  req.resume();
}
