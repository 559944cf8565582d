import { Pool } from 'undici';
import { UpstreamFailure } from './upstream-failure.ts';

/** What a model server says of itself on /v1/models. */
export interface ServedModel {
  /** Name to send as `model`. */
  id: string;
  maxModelLen: number | null;
  /** Real model behind the name; only our built-in engine says so. */
  builtinModel: string | null;
}

/** Longest wait for /health and /v1/models, in milliseconds: a busy vLLM answers them late. */
const probeTimeoutMs = 5000;
/** Failed probes in a row after which a ready server counts as down, unless nobody listens. */
const toleratedProbeFailures = 3;
/**
 * Idle connections are dropped before the server drops them (vLLM after 5 s unless told otherwise), else a call could
 * meet a socket that is being closed.
 */
const keepAliveMs = 4000;
const maxConnections = 256;

/** One model server: its connections, whether it can answer, and what it works on. */
export class Upstream {
  readonly url: string;
  /** Calls under way. */
  inFlight = 0;
  /** null until the server was seen ready. */
  model: ServedModel | null = null;
  isReady = false;
  reason: string | null = 'not seen yet';
  readonly #calls: Pool;
  /** Of their own: behind calls that take all connections a busy server would look dead. */
  readonly #probes: Pool;
  #failedProbes = 0;
  #probing: Promise<void> | null = null;

  constructor(url: string) {
    this.url = url;
    this.#calls = createPool(url, maxConnections);
    this.#probes = createPool(url, 1);
  }

  /** Sends JSON, returns the answer's body. Throws UpstreamFailure, or the signal's reason when it aborts. */
  async post(path: string, body: unknown, signal: AbortSignal): Promise<Buffer> {
    this.inFlight++;
    try {
      return await this.#request(this.#calls, { method: 'POST', path, body: JSON.stringify(body) }, signal);
    } catch (error) {
      if (error instanceof UpstreamFailure && error.kind === 'refused')
        this.#setDown('nobody listens on its port');
      throw error;
    } finally {
      this.inFlight--;
    }
  }

  /** Asks the server whether it can answer, and updates `isReady`. Calls at the same time share one probe. */
  probe(): Promise<void> {
    this.#probing ??= this.#probe().finally(() => {
      this.#probing = null;
    });
    return this.#probing;
  }

  async close(): Promise<void> {
    await Promise.all([this.#calls.destroy(), this.#probes.destroy()]);
  }

  async #probe(): Promise<void> {
    const signal = AbortSignal.timeout(probeTimeoutMs);
    try {
      await this.#request(this.#probes, { method: 'GET', path: '/health', body: null }, signal);
      if (!this.isReady) {
        const question = { method: 'GET', path: '/v1/models', body: null } as const;
        this.model = parseServedModel(await this.#request(this.#probes, question, signal));
      }
      this.#failedProbes = 0;
      this.isReady = true;
      this.reason = null;
    } catch (error) {
      this.#failedProbes++;
      const isDefinite = error instanceof UpstreamFailure && error.kind !== 'broken';
      if (isDefinite || this.#failedProbes >= toleratedProbeFailures || !this.isReady) {
        this.#setDown(error instanceof UpstreamFailure ? error.message : 'does not answer /health');
      }
    }
  }

  #setDown(reason: string): void {
    this.isReady = false;
    this.reason = reason;
  }

  async #request(pool: Pool, { method, path, body }: UpstreamRequest, signal: AbortSignal): Promise<Buffer> {
    let status: number;
    let bytes: Buffer;
    try {
      const asked = pool.request({
        path: `${new URL(this.url).pathname.replace(/\/$/, '')}${path}`,
        method,
        body,
        signal,
        ...(body !== null && { headers: { 'content-type': 'application/json' } }),
      });
      const answer = await unlessAborted(asked, signal);
      status = answer.statusCode;
      bytes = Buffer.from(await answer.body.arrayBuffer());
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const code = (error as NodeJS.ErrnoException).code ?? '';
      if (code === 'ECONNREFUSED')
        throw new UpstreamFailure('refused', 'nobody listens on its port', { cause: error });
      throw new UpstreamFailure('broken', `the connection broke (${code || 'unknown'})`, { cause: error });
    }
    if (status === 200) return bytes;
    const { message, type } = parseErrorEnvelope(bytes);
    throw new UpstreamFailure('status', `answered ${path} with status ${status}`, {
      status,
      serverMessage: message,
      serverType: type,
    });
  }
}

interface UpstreamRequest {
  method: 'GET' | 'POST';
  path: string;
  body: string | null;
}

function createPool(url: string, connections: number): Pool {
  return new Pool(new URL(url).origin, {
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
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function parseServedModel(bytes: Buffer): ServedModel {
  try {
    const [model] = (JSON.parse(bytes.toString()) as { data: Record<string, unknown>[] }).data;
    if (typeof model?.id !== 'string') throw new Error('no data[0].id');
    return {
      id: model.id,
      maxModelLen: typeof model.max_model_len === 'number' ? model.max_model_len : null,
      builtinModel: typeof model.engine === 'string' ? model.engine : null,
    };
  } catch (error) {
    throw new UpstreamFailure('nonsense', 'answered /v1/models with nonsense', { cause: error });
  }
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
