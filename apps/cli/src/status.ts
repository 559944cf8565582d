import { relative } from 'node:path';
import { type EffectiveConfig, resolveConfig } from '@er-gateway/shared/config/effective-config';
import type { CommandContext } from './command-context.ts';
import { duration } from './duration.ts';
import { askGateway, gatewayUrl } from './gateway-request.ts';
import { type Gpu, listGpus } from './gpus.ts';
import { type ModelDetails, modelDetails } from './model-details.ts';
import { modelTable } from './model-table.ts';
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
  models: ModelDetails[];
  ports: { port: number; setting: string; pid: number | null; command: string | null }[];
  gpus: Gpu[];
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
    modelDetails(config, running.processes),
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
    modelTable(models, root),
    '',
    table(
      ['port', 'setting', 'listens'],
      ports.map(({ port, setting, pid, command }) => [
        `${port}`,
        setting,
        pid === null ? '-' : `${pid} ${command}`,
      ]),
    ),
    ...(gpus.length > 0 ? ['', gpuTable(gpus)] : []),
    '',
    `logs in ${relative(root, logsDir) || '.'}/ (npm run logs)`,
  ].join('\n');
}

function gpuTable(gpus: readonly Gpu[]): string {
  return table(
    ['gpu', 'name', 'busy', 'memory'],
    gpus.map(({ index, name, utilizationPercent, memoryUsedMebibytes, memoryTotalMebibytes }) => [
      `${index}`,
      name,
      `${utilizationPercent ?? '?'} %`,
      `${memoryUsedMebibytes ?? '?'} of ${memoryTotalMebibytes ?? '?'} MiB`,
    ]),
  );
}
