import { setMaxListeners } from 'node:events';
import { FrameClient } from '../frames/frame-client.ts';
import type { StateMethods } from './state-protocol.ts';
import { answerWithin } from './state-unavailable.ts';
import type { KeyRecord, RateLimit, RateLimitOutcome, StateStore } from './store.ts';

const publishTimeoutMs = 2000;
/**
 * Longest wait for an app that is connected, in milliseconds. A dead one shows by its closed socket; one that is slow is
 * starved of CPU, and to play its part here meanwhile would let keys over their limit.
 */
const slowTimeoutMs = 1000;
/** Longest wait for an app that is away to return. */
const awayTimeoutMs = 100;
/** The client counts the time too, but without answerWithin's care: it only forgets a call, that much later. */
const forgetAfterMs = 1000;

/** Keys and limits kept by the `state` app of this host. */
export class SocketStore implements StateStore {
  readonly #client: FrameClient;
  readonly #patienceMs: number | null;
  /** Aborts when the connection is lost: what was asked on it is not asked again. */
  #connection = newConnection();

  /**
   * `path`: the app's unix socket. Connects at once, and again whenever the app returns. `patienceMs`: longest wait of a
   * call that a request waits for, whether or not the app is there.
   */
  constructor(path: string, { patienceMs = null }: { patienceMs?: number | null } = {}) {
    this.#patienceMs = patienceMs;
    this.#client = new FrameClient({ path, serverName: 'state app', unavailable: 'state_unavailable' });
    this.#client.on('down', () => {
      this.#connection.abort(new Error('the connection was lost'));
      this.#connection = newConnection();
    });
  }

  async publishKeys(source: string, keys: readonly KeyRecord[]): Promise<void> {
    await this.#call('publishKeys', { source, keys }, publishTimeoutMs);
  }

  findKey(hash: string): Promise<KeyRecord | null> {
    return this.#call('findKey', { hash });
  }

  consume(keyId: string, limit: RateLimit, cost: number): Promise<RateLimitOutcome> {
    return this.#call('consume', { keyId, limit, cost });
  }

  onUp(listener: () => void): void {
    this.#client.on('up', listener);
    if (this.#client.isUp) setImmediate(listener);
  }

  async close(): Promise<void> {
    this.#client.close();
  }

  #call<Method extends keyof StateMethods, Result>(
    method: Method,
    params: StateMethods[Method],
    timeoutMs = this.#patienceMs ?? (this.#client.isUp ? slowTimeoutMs : awayTimeoutMs),
  ): Promise<Result> {
    const { signal } = this.#connection;
    const answer = this.#client.call<Result>(method, params, {
      timeoutMs: timeoutMs + forgetAfterMs,
      signal,
    });
    return answerWithin(timeoutMs, answer);
  }
}

function newConnection(): AbortController {
  const connection = new AbortController();
  // One listener for each call under way.
  setMaxListeners(0, connection.signal);
  return connection;
}
