import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { userInfo } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { ConfigError } from '../errors/config-error.ts';
import { bootId } from '../process-table.ts';

/** Names the file that holds another run folder for one boot, after the configuration's. */
const recordSuffix = '.run-dir-';

/** Sockets of the system, below the run folder. The only place where their names are written. */
export const runPaths = {
  scheduler: (runDir: string) => join(runDir, 'scheduler.sock'),
  state: (runDir: string) => join(runDir, 'state.sock'),
  monitor: (runDir: string) => join(runDir, 'monitor.sock'),
  /** What the monitor has counted, for the monitor after it. */
  monitorCounters: (runDir: string) => join(runDir, 'monitor-counters.json'),
  /** Sessions of the dashboard, a file each. The gateway's own. */
  sessions: (runDir: string) => join(runDir, 'sessions'),
  /** Each process serves its status and metrics on a socket in this folder. */
  controlDir: (runDir: string) => join(runDir, 'control'),
  control: (runDir: string, app: string) => join(runDir, 'control', `${app}-${process.pid}.sock`),
  /** What a process had counted when it ended by itself. `since`: when its control socket was made, Unix time in milliseconds. */
  lastCounts: (runDir: string, app: string, since: number) =>
    join(runDir, 'control', `${app}-${process.pid}@${since}.last.json`),
  /** What a model's supervisor says about it, as JSON; replaced whole. */
  modelStatus: (runDir: string, app: string) => join(runDir, `${app}.status.json`),
  /** The model server's process group, to recognise one that was left over. The supervisor's own. */
  modelGroup: (runDir: string, app: string) => join(runDir, `${app}.group.json`),
  /** How often a model server failed to start in a row, and how long it took. The supervisor's own. */
  modelStarts: (runDir: string, app: string) => join(runDir, `${app}.starts.json`),
  /** Who loads a model on this GPU. The supervisors' own. */
  gpuLock: (runDir: string, gpu: number) => join(runDir, `gpu-${gpu}.lock`),
  /** The pipe for a model server's output; it has this name only while it is made. */
  modelOutput: (runDir: string, app: string) => join(runDir, `${app}.output`),
  /** Folder of the sockets between a model server's processes. */
  modelSockets: (runDir: string, app: string) => join(runDir, `${app}.sockets`),
};

/** Which run folder is to be used, and where it stands that another is. */
interface RunDirChoice {
  wanted: string;
  /** Where there always is a folder above. */
  fallback: string;
  /** The effective configuration, which outlives a reboot. */
  configFile: string;
}

/**
 * The run folder that holds in this boot. When PM2 starts at boot, XDG_RUNTIME_DIR is not there yet: it comes with the
 * user's first login. Then the fallback is taken, and a file beside the configuration says so: every process of this boot
 * takes the same folder, whatever appears later.
 */
export function runDirOfThisBoot({ wanted, fallback, configFile }: RunDirChoice): string {
  const record = `${configFile}${recordSuffix}${bootId()}`;
  if (existsSync(record)) return readFileSync(record, 'utf8');
  if (existsSync(dirname(wanted))) return wanted;
  const draft = `${record}.${process.pid}`;
  writeFileSync(draft, fallback, { mode: 0o600 });
  // Whoever comes second writes the same.
  renameSync(draft, record);
  return fallback;
}

/** Removes what earlier boots wrote down about run folders: the configuration is a new one. */
export function forgetRunDirs(configFile: string): void {
  const prefix = `${basename(configFile)}${recordSuffix}`;
  for (const name of readdirSync(dirname(configFile)).filter(found => found.startsWith(prefix))) {
    // A draft is another process's: that one is about to decide the same.
    if (!/\.\d+$/.test(name)) rmSync(join(dirname(configFile), name), { force: true });
  }
}

/**
 * Makes the run folder, for this user alone. Throws ConfigError when it cannot be made, and when the name is taken by
 * something that others could have put there (the temp folder is everybody's).
 */
export function ensureRunDir(runDir: string): void {
  makeFolder(runDir);
  const found = lstatSync(runDir);
  if (!found.isDirectory()) throw new ConfigError([`run_dir: ${runDir} is not a folder`]);
  if (found.uid !== userInfo().uid) {
    throw new ConfigError([
      `run_dir: ${runDir} belongs to user ${found.uid}; set ER_RUN_DIR to a folder of your own`,
    ]);
  }
  if ((found.mode & 0o077) !== 0) {
    throw new ConfigError([`run_dir: ${runDir} is open to other users; run chmod 700 ${runDir}`]);
  }
  makeFolder(runPaths.controlDir(runDir));
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ConfigError([
      `run_dir: ${folder} cannot be made (${code}); set ER_RUN_DIR to a folder of your own`,
    ]);
  }
}
