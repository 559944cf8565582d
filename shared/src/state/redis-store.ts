import { hash as digestOf } from 'node:crypto';
import { Redis, type Result } from 'ioredis';
import { RateLimiterRedis } from 'rate-limiter-flexible';
import type { Logger } from '../logger.ts';
import { RateLimits } from './rate-limits.ts';
import { changeKeysScript, chargeScript, publishKeysScript } from './redis-scripts.ts';
import { answerWithin } from './state-unavailable.ts';
import {
  type ChargeOutcome,
  type KeyChange,
  type KeyRecord,
  type ListedKey,
  managedSource,
  type RateLimit,
  type RateLimitOutcome,
  type StateStore,
  type WorkCost,
  type WorkLimits,
  workUnits,
} from './store.ts';

declare module 'ioredis' {
  // Its name and type parameter are ioredis's.
  interface RedisCommander<Context> {
    publishKeys(key: string, ...args: (string | number)[]): Result<number, Context>;
    changeKeys(key: string, ...args: string[]): Result<number, Context>;
    charge(key: string, ...args: number[]): Result<[number, number, number, number, number], Context>;
  }
}

/** Longest wait for keys to be published, and for a connection to be made, in milliseconds. */
const publishTimeoutMs = 2000;
/** Longest wait before a new connection is tried, in milliseconds. */
const longestRetryMs = 1000;
/** How often the connection that listens for news is tried, in milliseconds. */
const pingEveryMs = 1000;
/** Redis hash of all keys; see redis-scripts.ts. Every call touches one Redis key, so no hash tag is needed. */
const keysHash = 'er:keys';
/** Redis channel on which hashes of changed keys are told. */
const keysChannel = 'er:keys:changed';

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
  readonly #url: string;
  /** A connection that listens can do nothing else; made when somebody wants to hear. */
  #subscriber: Redis | null = null;
  #hearsChanges = false;
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
    this.#url = url;
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
      .map(key => [key.hash, textOf(key)] as const)
      .sort(([one], [other]) => (one < other ? -1 : 1));
    const digest = digestOf('sha256', JSON.stringify(entries));
    await answerWithin(
      publishTimeoutMs,
      this.#client.publishKeys(
        keysHash,
        source,
        digest,
        this.#sourceRetentionSeconds,
        keysChannel,
        ...entries.flat(),
      ),
    );
  }

  findKey(hash: string): Promise<KeyRecord | null> {
    return answerWithin(this.#callTimeoutMs, this.#readKey(hash));
  }

  async listKeys(): Promise<ListedKey[]> {
    const fields = await answerWithin(publishTimeoutMs, this.#client.hgetall(keysHash));
    return Object.entries(fields)
      .filter(([hash]) => hash !== 'sources')
      .flatMap(([hash, owners]) =>
        Object.entries(JSON.parse(owners) as Record<string, string>).map(([source, text]) => ({
          source,
          key: recordOf(hash, text),
        })),
      );
  }

  async changeKeys({ put, drop, seen }: KeyChange): Promise<boolean> {
    const entries = (keys: readonly KeyRecord[]) => keys.map(key => [key.hash, textOf(key)]);
    const change = JSON.stringify({ put: entries(put), drop, seen: entries(seen) });
    const done = this.#client.changeKeys(keysHash, managedSource, keysChannel, change);
    return (await answerWithin(publishTimeoutMs, done)) === 1;
  }

  get hearsChanges(): boolean {
    return this.#hearsChanges;
  }

  onKeysChanged(listener: (hashes: readonly string[] | null) => void): void {
    this.#subscriber ??= this.#subscribe();
    this.#subscriber.on('message', (_channel, hashes) => listener(JSON.parse(hashes) as string[]));
    this.#subscriber.on('subscribed', () => listener(null));
  }

  consume(keyId: string, limit: RateLimit, cost: number): Promise<RateLimitOutcome> {
    return answerWithin(this.#callTimeoutMs, this.#limits.consume(keyId, limit, cost));
  }

  async charge(keyId: string, limits: WorkLimits, cost: WorkCost): Promise<ChargeOutcome> {
    const done = this.#client.charge(
      `er:work:${keyId}`,
      limits.windowSeconds * 1000,
      ...workUnits.flatMap(unit => [limits[unit] ?? -1, cost[unit]]),
    );
    const [allowed, requests, inputs, tokens, resetMs] = await answerWithin(this.#callTimeoutMs, done);
    return { isAllowed: allowed === 1, used: { requests, inputs, tokens }, resetMs };
  }

  onUp(listener: () => void): void {
    this.#client.on('ready', listener);
    if (this.#client.status === 'ready') setImmediate(listener);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#client.disconnect();
    this.#subscriber?.disconnect();
  }

  #subscribe(): Redis {
    const subscriber = connect(this.#url);
    subscriber.on('error', () => {}); // the other connection reports
    let ping: NodeJS.Timeout | undefined;
    subscriber.on('close', () => {
      clearInterval(ping);
      this.#hearsChanges = false;
    });
    subscriber.on('ready', async () => {
      try {
        await subscriber.subscribe(keysChannel);
        this.#hearsChanges = true;
        // A connection that only listens does not notice that its other end is gone.
        ping = setInterval(() => {
          subscriber.ping().catch(() => subscriber.disconnect(true));
        }, pingEveryMs).unref();
        subscriber.emit('subscribed');
      } catch {
        subscriber.disconnect(true);
      }
    });
    return subscriber;
  }

  async #readKey(hash: string): Promise<KeyRecord | null> {
    const text = await this.#client.hget(keysHash, hash);
    if (text === null) return null;
    const owners = JSON.parse(text) as Record<string, string>;
    const [first] = Object.keys(owners).sort();
    const owner = first === undefined ? undefined : owners[first];
    return owner === undefined ? null : recordOf(hash, owner);
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

/** A record as Redis keeps it under its hash. */
const textOf = ({ hash, ...record }: KeyRecord) => JSON.stringify(record);
const recordOf = (hash: string, text: string) => ({ hash, ...JSON.parse(text) }) as KeyRecord;

/** A client for the path of requests: nothing waits in queues, nothing is sent twice. */
function connect(url: string): Redis {
  return new Redis(url.replace(/^unix:\/\//, ''), {
    connectionName: 'er-gateway',
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    maxRetriesPerRequest: 0,
    // Ends handshakes with a hung server; calls have their own, shorter time (answerWithin).
    commandTimeout: publishTimeoutMs,
    // A server that vanished without closing the connection would else be waited for until TCP gives up.
    socketTimeout: publishTimeoutMs,
    connectTimeout: publishTimeoutMs,
    retryStrategy: attempt => Math.min(25 * 2 ** attempt, longestRetryMs) * (0.8 + 0.2 * Math.random()),
    // After a failover the old primary, now a replica, refuses to write.
    reconnectOnError: error => error.message.startsWith('READONLY'),
    scripts: {
      publishKeys: { lua: publishKeysScript, numberOfKeys: 1 },
      charge: { lua: chargeScript, numberOfKeys: 1 },
      changeKeys: { lua: changeKeysScript, numberOfKeys: 1 },
    },
  });
}
