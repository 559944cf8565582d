import type { TraceHeaders } from '@er-gateway/shared/scheduler-protocol';
import { Pool } from 'undici';
import { UpstreamFailure } from './upstream-failure.ts';

/**
 * Idle connections are dropped before the server drops them (vLLM after 5 s unless told otherwise), else a call could
 * meet a socket that is being closed.
 */
const keepAliveMs = 4000;

/** A question to a model server. */
export interface UpstreamRequest {
  method: 'GET' | 'POST';
  path: string;
  body: string | null;
  trace?: TraceHeaders | undefined;
}

const jsonHeaders = { 'content-type': 'application/json' };

/** Connections to a server, kept alive between calls. */
export function createPool(origin: string, connections: number): Pool {
  return new Pool(origin, {
    connections,
    pipelining: 1,
    keepAliveTimeout: keepAliveMs,
    keepAliveMaxTimeout: keepAliveMs,
    // The job's deadline bounds the wait; a long batch may take minutes.
    headersTimeout: 0,
    bodyTimeout: 0,
    connectTimeout: 5000,
  });
}

/**
 * The promise, or the signal's reason as soon as it aborts. undici (8.12) looks at the signal of a request that waits for
 * a connection only when it gets one: a caller who left would hold a permit until then.
 */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/**
 * Asks a model server; returns the answer's body in the pieces in which it came. Throws UpstreamFailure, or the signal's
 * reason when it aborts.
 */
export async function request(
  pool: Pool,
  { method, path, body, trace }: UpstreamRequest,
  signal: AbortSignal,
): Promise<Buffer[]> {
  let status: number;
  const pieces: Buffer[] = [];
  try {
    const asked = pool.request({
      path,
      method,
      body,
      signal,
      ...(body !== null && { headers: trace ? { ...jsonHeaders, ...trace } : jsonHeaders }),
    });
    const answer = await unlessAborted(asked, signal);
    status = answer.statusCode;
    for await (const piece of answer.body) pieces.push(piece as Buffer);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (code === 'ECONNREFUSED')
      throw new UpstreamFailure('refused', 'nobody listens on its port', { cause: error });
    throw new UpstreamFailure('broken', `the connection broke (${code || 'unknown'})`, { cause: error });
  }
  if (status === 200) return pieces;
  const { message, type } = parseErrorEnvelope(Buffer.concat(pieces));
  throw new UpstreamFailure('status', `answered ${path} with status ${status}`, {
    status,
    serverMessage: message,
    serverType: type,
  });
}

/** vLLM's envelope; up to 0.9 it had no `error` around it. */
function parseErrorEnvelope(bytes: Buffer): { message: string; type: string } {
  try {
    const parsed = JSON.parse(bytes.toString()) as Record<string, unknown>;
    const inner = (parsed.error ?? parsed) as Record<string, unknown>;
    return { message: String(inner.message ?? ''), type: String(inner.type ?? '') };
  } catch {
    return { message: '', type: '' };
  }
}
