import { execFile } from 'node:child_process';
import { relative } from 'node:path';
import { promisify } from 'node:util';
import { type EffectiveConfig, resolveConfig } from '@er-gateway/shared/config/effective-config';
import type { CommandContext } from './command-context.ts';
import { askGateway, gatewayUrl } from './gateway-request.ts';
import { type ModelView, modelViews } from './model-view.ts';
import type { Pm2Process } from './pm2.ts';
import { pm2Apps } from './pm2-apps.ts';
import { portOwner } from './port-owner.ts';
import { portClaims } from './preflight.ts';
import { runningSystem } from './running-system.ts';
import { table } from './table.ts';

/** The whole system in one look: `npm run status -- --json`. */
export interface SystemStatus {
  url: string;
  /** Whether `/health` is 200: both models can answer now. */
  isReady: boolean;
  /** What `/health` said; null when nothing answered. */
  health: unknown;
  apps: AppStatus[];
  models: ModelView[];
  ports: { port: number; setting: string; pid: number | null; command: string | null }[];
  /** Lines of nvidia-smi: index, name, utilization, memory used and total. */
  gpus: string[];
  logsDir: string;
}

/** The processes of one PM2 app, summed up. */
export interface AppStatus {
  name: string;
  wanted: number;
  online: number;
  /** Each status that occurs, for example `online` or `online, errored`; `not started` when PM2 has none. */
  state: string;
  pids: number[];
  restarts: number;
  memoryBytes: number;
  /** Start of the process that started last, Unix time in milliseconds; null when none runs. */
  startedAt: number | null;
}

/** Prints the state of everything, for people or as JSON. */
export async function status(context: CommandContext, { json = false } = {}): Promise<void> {
  const seen = await readStatus(context);
  context.output.write(json ? `${JSON.stringify(seen, null, 2)}\n` : `${forPeople(seen, context.root)}\n`);
}

async function readStatus({ root, environment, pm2 }: CommandContext): Promise<SystemStatus> {
  const running = await runningSystem(root, pm2);
  const config = running.config ?? resolveConfig(root, environment);
  const [models, health, gpus] = await Promise.all([
    modelViews(config),
    askGateway(config, '/health'),
    listGpus(),
  ]);
  return {
    url: gatewayUrl(config),
    isReady: health?.status === 200,
    health: health?.body ?? null,
    apps: pm2Apps(config, '').map(app => appStatus(app.name, app.instances, running.processes)),
    models,
    ports: portsOf(config),
    gpus,
    logsDir: config.logs.dir,
  };
}

function appStatus(name: string, wanted: number, processes: readonly Pm2Process[]): AppStatus {
  const own = processes.filter(process => process.name === name);
  const online = own.filter(process => process.status === 'online');
  return {
    name,
    wanted,
    online: online.length,
    state: [...new Set(own.map(process => process.status))].join(', ') || 'not started',
    pids: online.map(process => process.pid),
    restarts: own.reduce((sum, process) => sum + process.restarts, 0),
    memoryBytes: own.reduce((sum, process) => sum + process.memoryBytes, 0),
    startedAt: online.length > 0 ? Math.max(...online.map(process => process.startedAt)) : null,
  };
}

function portsOf(config: EffectiveConfig): SystemStatus['ports'] {
  return portClaims(config).map(({ port, setting }) => {
    const owner = portOwner(port);
    return { port, setting, pid: owner?.pid ?? null, command: owner?.command ?? null };
  });
}

async function listGpus(): Promise<string[]> {
  const query = '--query-gpu=index,name,utilization.gpu,memory.used,memory.total';
  try {
    const { stdout } = await promisify(execFile)('nvidia-smi', [query, '--format=csv,noheader'], {
      timeout: 5000,
    });
    return stdout.trim().split('\n').filter(Boolean);
  } catch {
    return [];
  }
}

function forPeople({ url, isReady, apps, models, ports, gpus, logsDir }: SystemStatus, root: string): string {
  const isUp = apps.some(app => app.online > 0);
  const headline = !isUp ? 'is not running (npm start)' : isReady ? 'is ready' : 'is not ready';
  return [
    `er-gateway ${headline}: ${url}`,
    '',
    table(
      ['app', 'online', 'state', 'pid', 'restarts', 'memory', 'up for'],
      apps.map(app => [
        app.name,
        `${app.online}/${app.wanted}`,
        app.state,
        app.pids.length > 1 ? `${app.pids[0]} …` : `${app.pids[0] ?? '-'}`,
        `${app.restarts}`,
        `${Math.round(app.memoryBytes / 1024 ** 2)} MB`,
        app.startedAt === null ? '-' : duration(Date.now() - app.startedAt),
      ]),
    ),
    '',
    modelTable(models),
    '',
    table(
      ['port', 'setting', 'listens'],
      ports.map(({ port, setting, pid, command }) => [
        `${port}`,
        setting,
        pid === null ? '-' : `${pid} ${command}`,
      ]),
    ),
    ...(gpus.length > 0 ? ['', 'gpu', ...gpus.map(line => `  ${line}`)] : []),
    '',
    `logs in ${relative(root, logsDir) || '.'}/ (npm run logs)`,
  ].join('\n');
}

/** The model servers as a table. */
export function modelTable(models: readonly ModelView[]): string {
  return table(
    ['model', 'name', 'engine', 'state', 'pid', 'url', 'gpu', 'detail'],
    models.map(model => [
      model.app,
      model.servedName,
      model.engineLabel ?? model.engine,
      model.state,
      `${model.pid ?? '-'}`,
      model.url,
      `${model.gpu ?? '-'}`,
      [model.detail, model.lastError && `last error: ${model.lastError}`].filter(Boolean).join('; '),
    ]),
  );
}

function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}
