import { closeSync, fchmodSync, fstatSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { type EffectiveConfig, writeEffectiveConfig } from '@er-gateway/shared/config/effective-config';
import { ensureRunDir } from '@er-gateway/shared/config/run-dir';
import { pm2Home } from '../node-version.cjs';

/**
 * Makes the folders that the apps need and writes the configuration for them. It stands in PM2's folder, which outlives
 * a reboot, so that `pm2 resurrect` finds it; one file for each gateway port. Throws ConfigError.
 */
export function prepareApps(config: EffectiveConfig, environment: NodeJS.ProcessEnv): string {
  ensureRunDir(config.run_dir);
  mkdirSync(config.logs.dir, { recursive: true, mode: 0o700 });
  const file = join(pm2Home(environment), 'er-gateway', `config-${config.gateway.port}.json`);
  writeEffectiveConfig(config, file);
  return file;
}

/**
 * Makes the files that PM2 writes the apps' output to, or takes other users' access to them away: the first start shows an
 * admin key there. PM2's daemon, whose umask nobody here knows, goes on with the mode that it finds.
 */
export function closeLogs(files: readonly string[]): void {
  for (const file of new Set(files)) {
    const descriptor = openSync(file, 'a', 0o600);
    try {
      // A log may be a link to a device, whose mode is for the whole host.
      if (fstatSync(descriptor).isFile()) fchmodSync(descriptor, 0o600);
    } finally {
      closeSync(descriptor);
    }
  }
}
