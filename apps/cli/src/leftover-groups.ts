import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type EffectiveConfig, resolveConfig } from '@er-gateway/shared/config/effective-config';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import { ConfigError } from '@er-gateway/shared/errors/config-error';
import {
  hasLivingSupervisor,
  isGroupLeftOver,
  killGroup,
  readGroupRecord,
} from '@er-gateway/shared/process-group';

/** A model server that runs by the record of its supervisor, which may be gone. */
export interface RecordedGroup {
  app: string;
  pgid: number;
  hasSupervisor: boolean;
}

/** The model servers of this run folder that live, whether PM2 knows of them or not. */
export function recordedGroups(runDir: string): RecordedGroup[] {
  const apps = namesIn(runDir).flatMap(name => /^(.+)\.group\.json$/.exec(name)?.[1] ?? []);
  return apps.flatMap(app => {
    const record = readGroupRecord(runPaths.modelGroup(runDir, app));
    if (record === null || !isGroupLeftOver(record)) return [];
    return [{ app, pgid: record.pgid, hasSupervisor: hasLivingSupervisor(record) }];
  });
}

/** Kills the model servers that outlived their supervisors; one line for each. */
export async function endLeftoverGroups({ run_dir: runDir, logs }: EffectiveConfig): Promise<string[]> {
  const said: string[] = [];
  for (const { app, pgid, hasSupervisor } of recordedGroups(runDir)) {
    if (hasSupervisor) continue;
    const survivors = await killGroup(pgid);
    if (survivors.length > 0) {
      said.push(`The model server of ${app} cannot be ended (processes ${survivors.join(', ')}).`);
      continue;
    }
    for (const file of [runPaths.modelGroup(runDir, app), join(logs.dir, `${app}.pid`)])
      rmSync(file, { force: true });
    said.push(`Ended a model server of ${app} that had outlived its supervisor (process group ${pgid}).`);
  }
  return said;
}

/** The configuration as it is now; null when it is wrong. */
export function resolvedOrNull(root: string, environment: NodeJS.ProcessEnv): EffectiveConfig | null {
  try {
    return resolveConfig(root, environment);
  } catch (error) {
    if (error instanceof ConfigError) return null;
    throw error;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
