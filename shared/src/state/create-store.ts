import type { EffectiveConfig } from '../config/effective-config.ts';
import { runPaths } from '../config/run-dir.ts';
import type { Logger } from '../logger.ts';
import { SocketStore } from './socket-store.ts';
import type { StateStore } from './store.ts';

/** The store of this system: Redis when `redis.url` is set, the `state` app otherwise. Does not wait for it. */
export async function createStore(
  config: Pick<EffectiveConfig, 'redis' | 'run_dir'>,
  logger: Logger,
): Promise<StateStore> {
  if (config.redis.url === null) return new SocketStore(runPaths.state(config.run_dir));
  // Loaded only when used: 64 workers would carry it for nothing.
  const { RedisStore } = await import('./redis-store.ts');
  return new RedisStore({ url: config.redis.url, logger });
}
