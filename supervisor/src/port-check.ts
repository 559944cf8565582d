import { createServer } from 'node:net';
import type { Role } from '@er-gateway/shared/config/schema';
import { ConfigError } from '@er-gateway/shared/errors/config-error';

/**
 * Throws ConfigError when the port of a model server cannot be had. vLLM itself would say so only after 6 to 10 s of
 * imports, and PM2 would start it again and again.
 */
export async function ensurePortIsFree(role: Role, port: number): Promise<void> {
  const code = await listenErrorOf(port);
  if (code === null) return;
  const variable = `ER_MODELS_${role.toUpperCase()}_PORT`;
  if (code === 'EADDRINUSE') {
    throw new ConfigError([
      `models.${role}.port: another program listens on port ${port}; see which with "ss -ltnp sport = :${port}", stop it or set ${variable} to a free port`,
    ]);
  }
  throw new ConfigError([
    `models.${role}.port: port ${port} cannot be used (${code}); set ${variable} to another`,
  ]);
}

function listenErrorOf(port: number): Promise<string | null> {
  return new Promise(resolve => {
    const server = createServer();
    server.once('error', error => resolve((error as NodeJS.ErrnoException).code ?? error.message));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(null)));
  });
}
