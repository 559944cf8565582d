import { join } from 'node:path';
import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import type { Role } from '@er-gateway/shared/config/schema';

/** Everything that one model process leaves on disk, and the name by which it is known. */
export interface ProcessFiles {
  /** `embedding`, or `embedding-1` for the second replica. */
  app: string;
  log: string;
  pid: string;
  status: string;
  group: string;
  starts: string;
  /** Name of the pipe for its output, for a moment. */
  output: string;
  /** Folder of the sockets between its processes. */
  sockets: string;
}

/** Names of the files of one replica. */
export function processFiles(config: EffectiveConfig, role: Role, replica: number): ProcessFiles {
  const app = replica === 0 ? role : `${role}-${replica}`;
  return {
    app,
    log: join(config.logs.dir, `${app}_model.log`),
    pid: join(config.logs.dir, `${app}.pid`),
    status: runPaths.modelStatus(config.run_dir, app),
    group: runPaths.modelGroup(config.run_dir, app),
    starts: runPaths.modelStarts(config.run_dir, app),
    output: runPaths.modelOutput(config.run_dir, app),
    sockets: runPaths.modelSockets(config.run_dir, app),
  };
}
