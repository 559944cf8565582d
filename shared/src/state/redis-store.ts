import { hash as digestOf } from 'node:crypto';
import { Redis, type Result } from 'ioredis';
import { RateLimiterRedis } from 'rate-limiter-flexible';
import type { Logger } from '../logger.ts';
import { publishKeysScript } from './publish-keys-script.ts';
import { RateLimits } from './rate-limits.ts';
import { answerWithin } from './state-unavailable.ts';
import type { KeyRecord, RateLimit, RateLimitOutcome, StateStore } from './store.ts';

declare module 'ioredis' {
  // Its name and type parameter are ioredis's.
  interface RedisCommander<Context> {
    publishKeys(key: string, ...args: (string | number)[]): Result<number, Context>;
  }
}

/** Longest wait for keys to be published, and for a connection to be made, in milliseconds. */
const publishTimeoutMs = 2000;
/** Longest wait before a new connection is tried, in milliseconds. */
const longestRetryMs = 1000;
/** Redis hash of all keys; see publish-keys-script.ts. Every call touches one Redis key, so no hash tag is needed. */
const keysHash = 'er:keys';

export interface RedisStoreOptions {
  /** `redis://`, `rediss://`, or `unix:///path/to/socket`. */
  url: string;
  logger: Logger;
  /** Longest wait of a call that a request waits for. */
  callTimeoutMs?: number;
  /** Time after which the keys of a source that nobody published are dropped. */
  sourceRetentionSeconds?: number;
}

/** Keys and limits in Redis, shared by any number of hosts. Holds hashes of keys, never keys. */
export class RedisStore implements StateStore {
  readonly #client: Redis;
  readonly #logger: Logger;
  readonly #limits: RateLimits;
  readonly #callTimeoutMs: number;
  readonly #sourceRetentionSeconds: number;
  #isReportedAway = false;
  #isClosed = false;

  constructor({
    url,
    logger,
    callTimeoutMs = 100,
    sourceRetentionSeconds = 7 * 24 * 3600,
  }: RedisStoreOptions) {
    this.#logger = logger;
    this.#callTimeoutMs = callTimeoutMs;
    this.#sourceRetentionSeconds = sourceRetentionSeconds;
    this.#client = connect(url);
    this.#client.on('error', error => this.#reportAway(error.message));
    this.#client.on('close', () => this.#reportAway('connection closed'));
    this.#client.on('ready', () => this.#reportBack());
    this.#limits = new RateLimits(
      windowSeconds =>
        new RateLimiterRedis({
          storeClient: this.#client,
          rejectIfRedisNotReady: true,
          keyPrefix: `er:limit:${windowSeconds}`,
          points: 1, // required, but only `consume` reads it
          duration: windowSeconds,
        }),
    );
  }

  async publishKeys(source: string, keys: readonly KeyRecord[]): Promise<void> {
    const entries = keys
      .map(({ hash, name, role }) => [hash, JSON.stringify({ name, role })] as const)
      .sort(([one], [other]) => (one < other ? -1 : 1));
    const digest = digestOf('sha256', JSON.stringify(entries));
    await answerWithin(
      publishTimeoutMs,
      this.#client.publishKeys(keysHash, source, digest, this.#sourceRetentionSeconds, ...entries.flat()),
    );
  }

  findKey(hash: string): Promise<KeyRecord | null> {
    return answerWithin(this.#callTimeoutMs, this.#readKey(hash));
  }

  consume(keyId: string, limit: RateLimit, cost: number): Promise<RateLimitOutcome> {
    return answerWithin(this.#callTimeoutMs, this.#limits.consume(keyId, limit, cost));
  }

  onUp(listener: () => void): void {
    this.#client.on('ready', listener);
    if (this.#client.status === 'ready') setImmediate(listener);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#client.disconnect();
  }

  async #readKey(hash: string): Promise<KeyRecord | null> {
    const text = await this.#client.hget(keysHash, hash);
    if (text === null) return null;
    const owners = JSON.parse(text) as Record<string, Pick<KeyRecord, 'name' | 'role'>>;
    const [first] = Object.keys(owners).sort();
    const owner = first === undefined ? undefined : owners[first];
    return owner ? { hash, id: hash.slice(0, 16), name: owner.name, role: owner.role } : null;
  }

  #reportAway(reason: string): void {
    if (this.#isReportedAway || this.#isClosed) return;
    this.#isReportedAway = true;
    this.#logger.warn('Redis cannot be reached; trying again', { reason });
  }

  #reportBack(): void {
    if (this.#isReportedAway) this.#logger.info('Redis is reached again');
    this.#isReportedAway = false;
  }
}

/** A client for the path of requests: nothing waits in queues, nothing is sent twice. */
function connect(url: string): Redis {
  return new Redis(url.replace(/^unix:\/\//, ''), {
    connectionName: 'er-gateway',
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    // Ends handshakes with a hung server; calls have their own, shorter time (answerWithin).
    commandTimeout: publishTimeoutMs,
    // A server that vanished without closing the connection would else be waited for until TCP gives up.
    socketTimeout: publishTimeoutMs,
    connectTimeout: publishTimeoutMs,
    retryStrategy: attempt => Math.min(25 * 2 ** attempt, longestRetryMs) * (0.8 + 0.2 * Math.random()),
    // After a failover the old primary, now a replica, refuses to write.
    reconnectOnError: error => error.message.startsWith('READONLY'),
    scripts: { publishKeys: { lua: publishKeysScript, numberOfKeys: 1 } },
  });
}
