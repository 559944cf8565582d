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
  readonly #pool: Pool;
  #failedProbes = 0;
  #probing: Promise<void> | null = null;

  constructor(url: string) {
    this.url = url;
    this.#pool = new Pool(new URL(url).origin, {
      connections: maxConnections,
      pipelining: 1,
      keepAliveTimeout: keepAliveMs,
      keepAliveMaxTimeout: keepAliveMs,
      // The job's deadline bounds the wait; a long batch may take minutes.
      headersTimeout: 0,
      bodyTimeout: 0,
      connectTimeout: 5000,
    });
  }

  /** Sends JSON, returns the answer's body. Throws UpstreamFailure, or the signal's reason when it aborts. */
  async post(path: string, body: unknown, signal: AbortSignal): Promise<Buffer> {
    this.inFlight++;
    try {
      return await this.#request('POST', path, JSON.stringify(body), signal);
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
    await this.#pool.destroy();
  }

  async #probe(): Promise<void> {
    const signal = AbortSignal.timeout(probeTimeoutMs);
    try {
      await this.#request('GET', '/health', null, signal);
      if (!this.isReady)
        this.model = parseServedModel(await this.#request('GET', '/v1/models', null, signal));
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

  async #request(
    method: 'GET' | 'POST',
    path: string,
    body: string | null,
    signal: AbortSignal,
  ): Promise<Buffer> {
    let status: number;
    let bytes: Buffer;
    try {
      const answer = await this.#pool.request({
        path: `${new URL(this.url).pathname.replace(/\/$/, '')}${path}`,
        method,
        body,
        signal,
        ...(body !== null && { headers: { 'content-type': 'application/json' } }),
      });
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
