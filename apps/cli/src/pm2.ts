import { spawn } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { runningPm2Daemon } from '../node-version.cjs';
import { environmentForApps } from './caller-environment.ts';
import { namespace } from './pm2-apps.ts';

/** One process of PM2's list. */
export interface Pm2Process {
  name: string;
  id: number;
  /** Its number among the processes of its app: the replica of a model. */
  instance: number;
  /** 0 when it does not run. */
  pid: number;
  status: string;
  restarts: number;
  exitCode: number | null;
  /** When it was started last, Unix time in milliseconds. */
  startedAt: number;
  memoryBytes: number;
  isOurs: boolean;
  /** The folder of the project that it was started from. */
  cwd: string;
  configFile: string | null;
  logFile: string;
}

/** What a PM2 command said and how it ended. */
export interface Pm2Answer {
  code: number;
  output: string;
}

/** PM2, run as a command and never imported: its licence is the AGPL. */
export interface Pm2 {
  /** Every process in PM2's list; none when no daemon runs (asking PM2 would start one). Throws when PM2 fails. */
  list(): Promise<Pm2Process[]>;
  /** Runs `pm2 <args>` quietly. */
  run(args: string[], extra?: NodeJS.ProcessEnv): Promise<Pm2Answer>;
  /** Runs `pm2 <args>` in the user's terminal; resolves to its exit status. */
  show(args: string[]): Promise<number>;
}

/** PM2 of the project in `root`, in the user's own PM2_HOME. */
export function createPm2(root: string, caller: NodeJS.ProcessEnv): Pm2 {
  const binFolder = join(root, 'node_modules', '.bin');
  const environment: NodeJS.ProcessEnv = {
    ...environmentForApps(caller),
    PATH: `${binFolder}${delimiter}${caller.PATH ?? ''}`,
    PM2_DISABLE_VERSION_CHECK: '1',
    PM2_DISCRETE_MODE: 'true',
    PM2_NO_INTERACTION: 'true',
    // All apps at once; PM2 still starts the workers of one app in a row.
    PM2_CONCURRENT_ACTIONS: '8',
    // PM2's own code in its daemon and in each worker; our bundles turn the cache on by themselves.
    NODE_COMPILE_CACHE: join(root, 'node_modules', '.cache', 'er-gateway'),
  };
  const start = (args: string[], extra: NodeJS.ProcessEnv, output: 'pipe' | 'inherit') =>
    spawn(join(binFolder, 'pm2'), args, {
      cwd: root,
      env: { ...environment, ...extra },
      stdio: ['ignore', output, output],
    });

  const run = (args: string[], extra: NodeJS.ProcessEnv = {}) =>
    new Promise<Pm2Answer>((resolve, reject) => {
      const child = start(args, extra, 'pipe');
      const output: Buffer[] = [];
      child.stdout?.on('data', chunk => output.push(chunk));
      child.stderr?.on('data', chunk => output.push(chunk));
      child.on('error', reject);
      child.on('close', code => resolve({ code: code ?? 1, output: Buffer.concat(output).toString() }));
    });

  return {
    run,
    show: args =>
      new Promise((resolve, reject) => {
        const child = start(args, {}, 'inherit');
        child.on('error', reject);
        child.on('close', code => resolve(code ?? 1));
      }),
    list: async () => {
      if (!runningPm2Daemon(environment)) return [];
      const { code, output } = await run(['jlist']);
      const json = output.split('\n').findLast(line => line.startsWith('['));
      if (code !== 0 || !json) throw new Error(`pm2 jlist failed:\n${output.trim()}`);
      return (JSON.parse(json) as Pm2Entry[]).map(toProcess);
    },
  };
}

/** What we read of an entry of `pm2 jlist`. */
interface Pm2Entry {
  name: string;
  pid: number;
  pm_id: number;
  monit?: { memory: number };
  pm2_env: {
    namespace: string;
    status: string;
    restart_time: number;
    exit_code?: number;
    pm_uptime: number;
    pm_cwd: string;
    pm_out_log_path: string;
    ER_EFFECTIVE_CONFIG?: string;
    NODE_APP_INSTANCE?: number;
  };
}

function toProcess({ name, pid, pm_id: id, monit, pm2_env: env }: Pm2Entry): Pm2Process {
  return {
    name,
    id,
    instance: Number(env.NODE_APP_INSTANCE ?? 0),
    pid: pid ?? 0,
    status: env.status,
    restarts: env.restart_time,
    exitCode: env.exit_code ?? null,
    startedAt: env.pm_uptime,
    memoryBytes: monit?.memory ?? 0,
    isOurs: env.namespace === namespace,
    cwd: env.pm_cwd,
    configFile: env.ER_EFFECTIVE_CONFIG ?? null,
    logFile: env.pm_out_log_path,
  };
}
