import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import { openaiErrors } from '../dialects/error-shapes.ts';
import type { CallerView } from '../request/caller-address.ts';
import { exchangeOn } from '../request/exchange.ts';
import type { Recorder } from '../request/recorder.ts';

/**
 * Answers what is no request of HTTP/1.1, or stops being one in its body. Node would answer by itself: without a body, and
 * without a line in the audit trail.
 */
export class BrokenRequests {
  readonly #recorder: Recorder;
  readonly #callers: CallerView;
  /** Their trouble is told once; what still comes on them is not looked at. */
  readonly #told = new WeakSet<Socket>();

  constructor(recorder: Recorder, callers: CallerView) {
    this.#recorder = recorder;
    this.#callers = callers;
  }

  /** What Node emits as `clientError`. */
  onClientError(error: NodeJS.ErrnoException, socket: Socket): void {
    const refusal = refusalOf(error.code ?? '');
    if (refusal === null || !socket.writable) {
      socket.destroy();
      return;
    }
    if (this.#told.has(socket)) return;
    this.#told.add(socket);
    const exchange = exchangeOn(socket);
    if (exchange && !exchange.req.complete) {
      // Half a body and the end of the connection: nobody is there any more.
      if (error.code === 'HPE_INVALID_EOF_STATE' || exchange.res.headersSent) socket.destroySoon();
      else exchange.breakOff(refusal);
    } else this.refuse(socket, refusal);
  }

  /** Answers what is no request after all that came before it on its connection, records that, and ends the connection. */
  refuse(socket: Socket, error: RequestError): void {
    const before = exchangeOn(socket)?.res;
    // One that has ended may still wait behind another one.
    if (before && !before.writableFinished) before.once('finish', () => this.#refuseNow(socket, error));
    else this.#refuseNow(socket, error);
  }

  #refuseNow(socket: Socket, error: RequestError): void {
    if (!socket.writable) return; // the last answer said that it ends the connection
    const id = randomUUID();
    this.#recorder.refused(id, this.#callers.callerAddress({ headers: {}, socket }), error);
    const body = JSON.stringify(openaiErrors.toBody(error, id));
    const { status } = error;
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\ncontent-type: application/json\r\n` +
        `content-length: ${Buffer.byteLength(body)}\r\nx-request-id: ${id}\r\n\r\n${body}`,
    );
  }
}

/** By the codes of Node's parser; null for what is not the caller's words: a lost connection, a failed handshake. */
function refusalOf(code: string): RequestError | null {
  if (code === 'HPE_HEADER_OVERFLOW')
    return new RequestError(
      'headers_too_large',
      'The header of the request is over the limit of 16384 bytes.',
    );
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW')
    return new RequestError('request_too_large', 'The chunk extensions of the body are over the limit.');
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return requestTimeout();
  if (!code.startsWith('HPE_')) return null;
  return new RequestError('invalid_request', 'This is no well-formed HTTP request.');
}

/** The error of a CONNECT: this is no proxy. */
export const noTunnels = () =>
  new RequestError('method_not_allowed', 'Nothing here takes CONNECT.', { headers: { allow: 'GET, POST' } });

/** The error of a header or body that did not come in time. */
export const requestTimeout = () =>
  new RequestError(
    'request_timeout',
    'The request did not come whole in time. See gateway.header_timeout_seconds and gateway.body_timeout_seconds.',
  );
