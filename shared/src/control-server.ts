import { lstatSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type Registry, register } from 'prom-client';
import { runPaths } from './config/run-dir.ts';
import { definitionsHash } from './metrics/definitions-hash.ts';

/** What a process shows of itself: read by the monitor and the command line. */
export interface ControlOptions {
  runDir: string;
  app: string;
  /** Its state as JSON, made anew for each reader. */
  status: () => unknown;
  registry?: Registry;
}

/**
 * Serves `GET /status` and `GET /metrics` (prom-client's JSON, for merging) of this process on a unix socket of its own,
 * `control/<app>-<pid>.sock`. A socket and not the PM2 bus, which would load the daemon that accepts connections. The function
 * that it resolves to ends that, and leaves the last counts for the monitor.
 */
export async function serveControl({
  runDir,
  app,
  status,
  registry = register,
}: ControlOptions): Promise<() => Promise<void>> {
  const path = runPaths.control(runDir, app);
  const server = createServer(async (request, response) => {
    const body = request.url === '/metrics' ? await registry.getMetricsAsJSON() : status();
    response.setHeader('content-type', 'application/json').end(JSON.stringify(body));
  });
  unlinkIfThere(path);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    // exclusive: in cluster mode the daemon would else open one shared socket for all workers.
    server.listen({ path, exclusive: true }, resolve);
  });
  server.unref();
  const lastCounts = runPaths.lastCounts(runDir, app, lstatSync(path).mtimeMs);
  return async () => {
    try {
      const counts = JSON.stringify({ definitionsHash, metrics: await registry.getMetricsAsJSON() });
      // Whole before the socket is gone: whoever finds nobody there looks for it.
      writeFileSync(`${lastCounts}.draft`, counts, { mode: 0o600 });
      renameSync(`${lastCounts}.draft`, lastCounts);
    } finally {
      server.close();
      server.closeAllConnections();
      unlinkIfThere(path);
    }
  };
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // was not there
  }
}
