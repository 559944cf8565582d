import { FrameClient } from '../frames/frame-client.ts';
import { keysChangedTopic, type StateMethods } from './state-protocol.ts';
import { answerWithin } from './state-unavailable.ts';
import type {
  ChargeOutcome,
  KeyChange,
  KeyRecord,
  ListedKey,
  RateLimit,
  RateLimitOutcome,
  StateStore,
  WorkCost,
  WorkLimits,
} from './store.ts';

const publishTimeoutMs = 2000;
/** A change that was begun in time is answered within this time. */
const changeMs = 500;
/** The client counts the time too, but without answerWithin's care: it only forgets a call, long after. */
const forgetAfterMs = 10_000;

/** Keys and limits kept by the `state` app of this host. */
export class SocketStore implements StateStore {
  readonly #client: FrameClient;
  readonly #callTimeoutMs: number;

  /**
   * `path`: the app's unix socket. Connects at once, and again whenever the app returns. `callTimeoutMs`: longest wait
   * of a call that a request waits for.
   */
  constructor(path: string, { callTimeoutMs = 100 } = {}) {
    this.#callTimeoutMs = callTimeoutMs;
    this.#client = new FrameClient({ path, serverName: 'state app', unavailable: 'state_unavailable' });
  }

  async publishKeys(source: string, keys: readonly KeyRecord[]): Promise<void> {
    await this.#call('publishKeys', { source, keys }, publishTimeoutMs);
  }

  findKey(hash: string): Promise<KeyRecord | null> {
    return this.#call('findKey', { hash });
  }

  listKeys(): Promise<ListedKey[]> {
    return this.#call('listKeys', null, publishTimeoutMs);
  }

  /** A change whose caller was told that nobody answered must not be made later: it says until when, and a new connection does not get it. */
  changeKeys(change: KeyChange): Promise<boolean> {
    const given = new AbortController();
    const params = {
      ...change,
      notAfter: Date.now() + publishTimeoutMs,
    } satisfies StateMethods['changeKeys'];
    const answer = this.#client.call<boolean>('changeKeys', params, {
      timeoutMs: publishTimeoutMs + forgetAfterMs,
      signal: given.signal,
    });
    return answerWithin(publishTimeoutMs + changeMs, answer).catch(error => {
      given.abort(error);
      throw error;
    });
  }

  get hearsChanges(): boolean {
    return this.#client.isUp;
  }

  onKeysChanged(listener: (hashes: readonly string[] | null) => void): void {
    this.#client.on('push', (topic, value) => {
      if (topic === keysChangedTopic) listener(value as string[]);
    });
    this.#client.on('up', () => listener(null));
  }

  consume(keyId: string, limit: RateLimit, cost: number): Promise<RateLimitOutcome> {
    return this.#call('consume', { keyId, limit, cost });
  }

  charge(keyId: string, limits: WorkLimits, cost: WorkCost): Promise<ChargeOutcome> {
    return this.#call('charge', { keyId, limits, cost });
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
    timeoutMs = this.#callTimeoutMs,
  ): Promise<Result> {
    const answer = this.#client.call<Result>(method, params, { timeoutMs: timeoutMs + forgetAfterMs });
    return answerWithin(timeoutMs, answer);
  }
}
