import { chmodSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { Logger } from '@er-gateway/shared/logger';

/** Serves on a unix socket that only this user may open, in place of one that a killed monitor left. Resolves when it listens. */
export async function listenOnSocket(path: string, routes: RequestListener): Promise<Server> {
  rmSync(path, { force: true });
  const server = createServer(routes);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
  chmodSync(path, 0o600);
  return server;
}

/**
 * Serves on 127.0.0.1. A port that is taken costs one line in the log and not the process: the gateway reaches the
 * monitor by its socket.
 */
export function listenOnLoopback(port: number, routes: RequestListener, logger: Logger): Promise<Server> {
  const server = createServer(routes);
  return new Promise(resolve => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'another program has it' : `${error.code}`;
      logger.error(
        `monitor.port ${port} cannot be opened on 127.0.0.1: ${why}. Metrics and dashboard stay reachable through the gateway; set ER_MONITOR_PORT to a free port and restart the monitor`,
      );
      resolve(server);
    });
    server.listen(port, '127.0.0.1', () => {
      logger.info(`metrics and dashboard on http://127.0.0.1:${port}/dashboard`);
      resolve(server);
    });
  });
}
