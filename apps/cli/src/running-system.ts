import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import { loadConfig } from '@er-gateway/shared/config/effective-config';
import type { Pm2, Pm2Process } from './pm2.ts';

/** What PM2 runs of er-gateway now. */
export interface RunningSystem {
  processes: Pm2Process[];
  /** Apps that PM2 runs for others. */
  others: Pm2Process[];
  /** The configuration that the running processes were started with; null when nothing runs, or its file is gone. */
  config: EffectiveConfig | null;
  configFile: string | null;
}

/** Looks at PM2's list. Throws when PM2 does not answer. */
export async function runningSystem(root: string, pm2: Pm2): Promise<RunningSystem> {
  const list = await pm2.list();
  const processes = list.filter(process => process.isOurs);
  const configFile = processes.find(process => process.configFile)?.configFile ?? null;
  return {
    processes,
    others: list.filter(process => !process.isOurs),
    config: configFile ? readConfig(root, configFile) : null,
    configFile,
  };
}

function readConfig(root: string, file: string): EffectiveConfig | null {
  try {
    return loadConfig(root, { ER_EFFECTIVE_CONFIG: file });
  } catch {
    return null;
  }
}
