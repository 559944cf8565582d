import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { EffectiveModel } from '@er-gateway/shared/config/effective-config';
import type { Upstream, UpstreamOptions } from '../../apps/scheduler/src/upstream/upstream.ts';
import { UpstreamPool } from '../../apps/scheduler/src/upstream/upstream-pool.ts';
import { waitFor } from './wait-for.ts';

/** A pool whose servers answer probes; what their calls do is up to the test's wire. */
export interface Replicas {
  pool: UpstreamPool;
  upstreams: Upstream[];
  stop: () => Promise<void>;
}

/** Starts servers that are alive, and a pool of them; resolves when all of them are ready. */
export async function startReplicas(
  count: number,
  canary: UpstreamOptions['canary'] = async () => {},
): Promise<Replicas> {
  const servers = Array.from({ length: count }, () =>
    createServer((_request, response) => response.end('{"data":[{"id":"m"}]}')).listen(0, '127.0.0.1'),
  );
  await Promise.all(servers.map(server => once(server, 'listening')));
  const urls = servers.map(server => `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const pool = new UpstreamPool({
    model: { upstreams: urls, served_name: 'm' } as unknown as EffectiveModel,
    windowMs: 0,
    canary,
    describeProcess: () => null,
    isOnTrial: () => false,
    onChange: () => {},
  });
  await waitFor('all servers', () => pool.availableCount === count);
  return {
    pool,
    upstreams: pool.upstreams,
    stop: async () => {
      await pool.close();
      for (const server of servers) server.close().closeAllConnections();
    },
  };
}
