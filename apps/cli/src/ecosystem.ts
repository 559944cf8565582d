import { loadConfig } from '@er-gateway/shared/config/effective-config';
import { ConfigError, configExitCode } from '@er-gateway/shared/errors/config-error';
import { checkKeyFile } from '@er-gateway/shared/keys/key-file';
import { environmentForApps } from './caller-environment.ts';
import { closeLogs, prepareApps } from './effective-config-file.ts';
import { type Pm2App, pm2Apps } from './pm2-apps.ts';

/**
 * The apps for `ecosystem.config.js`, with the configuration resolved and written for them. Ends the process with status
 * 78 and every problem when the configuration is wrong.
 *
 * PM2 copies its command's whole environment into the apps, on start, and again on `restart` and `reload` with this file.
 * `filter_env` would work only on start (pm2 7.0.4, lib/Common.js and lib/API.js), so the secrets leave here.
 */
export function ecosystemApps(root: string): Pm2App[] {
  try {
    const config = loadConfig(root);
    const written = process.env.ER_EFFECTIVE_CONFIG;
    // `npm start` has looked itself, and may be about to start other apps than the gateway.
    if (!written) checkKeyFile(config.keys.file);
    const file = written || prepareApps(config, process.env);
    const kept = environmentForApps(process.env);
    for (const name of Object.keys(process.env)) if (!(name in kept)) delete process.env[name];
    const apps = pm2Apps(config, file);
    closeLogs(apps.map(app => app.out_file));
    return apps;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(`er-gateway cannot start, its configuration is wrong:\n${error.message}`);
    process.exit(configExitCode);
  }
}
