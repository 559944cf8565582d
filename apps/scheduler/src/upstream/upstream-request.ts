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
/** To undici, of a call that nobody waits for any more. */
const givenUp = () => new Error('the call was given up');

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

/** Asks a model server; returns the answer's body. Throws UpstreamFailure, or the reason of the first signal that aborts. */
export async function request(
  pool: Pool,
  question: UpstreamRequest,
  ...signals: readonly AbortSignal[]
): Promise<Buffer> {
  const { path } = question;
  let answer: Answer;
  try {
    answer = await ask(pool, question, signals);
  } catch (error) {
    const left = signals.find(signal => signal.aborted);
    if (left) throw left.reason;
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (code === 'ECONNREFUSED')
      throw new UpstreamFailure('refused', 'nobody listens on its port', { cause: error });
    throw new UpstreamFailure('broken', `the connection broke (${code || 'unknown'})`, { cause: error });
  }
  const { status, bytes } = answer;
  if (status === 200) return bytes;
  const { message, type } = parseErrorEnvelope(bytes);
  throw new UpstreamFailure('status', `answered ${path} with status ${status}`, {
    status,
    serverMessage: message,
    serverType: type,
  });
}

interface Answer {
  status: number;
  bytes: Buffer;
}

/**
 * One call, on undici's dispatcher: `Pool.request` makes a stream for each body, takes one signal only, and looks at it
 * only when the call has a connection (8.12), so that a caller who left would hold a permit until then.
 */
function ask(
  pool: Pool,
  { method, path, body, trace }: UpstreamRequest,
  signals: readonly AbortSignal[],
): Promise<Answer> {
  const headers = body === null ? null : { ...jsonHeaders, ...trace };
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let status = 0;
    let abort: ((reason: Error) => void) | null = null;
    const onAbort = () => {
      settle();
      reject(givenUp());
      abort?.(givenUp());
    };
    const settle = () => {
      for (const signal of signals) signal.removeEventListener('abort', onAbort);
    };
    if (signals.some(signal => signal.aborted)) return onAbort();
    for (const signal of signals) signal.addEventListener('abort', onAbort, { once: true });
    pool.dispatch(
      { path, method, body, headers },
      {
        onRequestStart: controller => {
          abort = reason => controller.abort(reason);
          if (signals.some(signal => signal.aborted)) controller.abort(givenUp());
        },
        onResponseStart: (_, code) => {
          status = code;
        },
        onResponseData: (_, chunk) => {
          pieces.push(chunk);
        },
        onResponseEnd: () => {
          settle();
          resolve({ status, bytes: pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces) });
        },
        onResponseError: (_, error) => {
          settle();
          reject(error);
        },
      },
    );
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
