import { readFileSync, statfsSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { type EffectiveConfig, findProgram } from '@er-gateway/shared/config/effective-config';
import { roles } from '@er-gateway/shared/config/schema';
import { isAtLeast, nodeOfProcess, oldestNode, pm2Home, runningPm2Daemon } from '../../node-version.cjs';
import type { CommandContext } from '../command-context.ts';
import { type Gpu, listGpus } from '../gpus.ts';
import { type Finding, finding } from './finding.ts';

const gibibyte = 1024 ** 3;
const leastFreeBytes = { warn: 5 * gibibyte, fail: 0.2 * gibibyte };
/** A worker holds a descriptor for each connection, and the daemon some for each worker. */
const leastOpenFiles = 8192;
/** What one gateway worker takes, and all the rest without model servers. */
const workerBytes = 50 * 1024 ** 2;
const restBytes = gibibyte;
/** On two cores, before a model server that costs nothing: one a core 7,000 requests/s, four 5,000, 32 a core 1,150. */
const mostWorkersPerCore = 4;

/** Node, PM2, programs, GPUs, memory, disk and limits. */
export async function machineFindings(
  { root, environment }: CommandContext,
  config: EffectiveConfig,
): Promise<Finding[]> {
  return [
    nodeFinding(),
    pm2Finding(root, environment),
    ...programFindings(environment),
    ...gpuFindings(config, await listGpus()),
    coresFinding(config.gateway.workers, availableParallelism()),
    memoryFinding(config),
    diskFinding('disk for logs', config.logs.dir),
    diskFinding("disk for PM2's files", pm2Home(environment)),
    openFilesFinding(),
  ];
}

function nodeFinding(): Finding {
  const { node } = process.versions;
  const fix = isAtLeast(node, oldestNode)
    ? null
    : `run it through npm (npm run doctor), or install Node ${oldestNode}`;
  return finding('Node', `${node}, from ${process.execPath}`, fix);
}

function pm2Finding(root: string, environment: NodeJS.ProcessEnv): Finding {
  const { version } = JSON.parse(readFileSync(join(root, 'node_modules/pm2/package.json'), 'utf8')) as {
    version: string;
  };
  const daemon = runningPm2Daemon(environment);
  const node = daemon ? nodeOfProcess(daemon) : null;
  const where = daemon ? `its daemon (pid ${daemon}) on Node ${node}` : 'no daemon runs';
  const isOld = node !== null && !isAtLeast(node, oldestNode);
  return finding('PM2', `${version}, ${where}`, isOld ? 'npx pm2 kill, then npm start' : null);
}

/** Small programs that a supervisor uses, with what is lost without them. */
const programs = [
  ['setpriv', 'util-linux', 'a model server outlives a supervisor that is killed, until the next one starts'],
  ['mkfifo', 'coreutils', "the model servers' output cannot be kept"],
  ['ps', 'procps', 'PM2 cannot find the children of an app'],
] as const;

function programFindings(environment: NodeJS.ProcessEnv): Finding[] {
  return programs.map(([name, packageName, loss]) => {
    const path = findProgram(name, environment);
    return finding(name, path ?? `not found: ${loss}`, path ? null : `install ${packageName}`, 'warn');
  });
}

/** Whether the GPUs that the models are to run on are there. */
export function gpuFindings(config: EffectiveConfig, gpus: readonly Gpu[]): Finding[] {
  const models = roles.map(role => config.models[role]).filter(({ engine }) => engine === 'vllm');
  const shown = gpus.map(({ index, name, memoryTotalMebibytes: total }) => `${index}: ${name}, ${total} MiB`);
  const [first] = gpus;
  const found = first ? `${shown.join('; ')}; driver ${first.driver}` : 'none (no nvidia-smi, or no driver)';
  if (models.length === 0 || config.vllm.device === 'cpu') return [finding('GPUs', found, null)];
  if (!first) {
    const fix = 'install the NVIDIA driver (nvidia-smi must list the GPUs), or set ER_VLLM_DEVICE=cpu';
    return [finding('GPUs', found, fix, config.vllm.device === 'gpu' ? 'fail' : 'warn')];
  }
  return [
    finding('GPUs', found, null),
    ...models.map(({ role, gpu }) => {
      const isThere = gpus.some(({ index }) => index === gpu);
      const fix = isThere
        ? null
        : `set ER_MODELS_${role.toUpperCase()}_GPU to one of ${gpus.map(({ index }) => index)}`;
      return finding(`GPU of ${role}`, isThere ? `${gpu}` : `there is no GPU ${gpu}`, fix);
    }),
  ];
}

/** Whether so many workers make sense: each compiles its code for itself, and their copies fight for the caches. */
export function coresFinding(workers: number, cores: number): Finding {
  const most = mostWorkersPerCore * cores;
  const found = `${cores}; ${workers} gateway workers`;
  const fix = `set ER_GATEWAY_WORKERS to ${most} or fewer: more of them serve less (npm run bench -- workers)`;
  return finding('cores', found, workers > most ? fix : null, 'warn');
}

function memoryFinding({ gateway }: EffectiveConfig): Finding {
  const needed = gateway.workers * workerBytes + restBytes;
  const found = `${(totalmem() / gibibyte).toFixed(1)} GiB; ${gateway.workers} workers and the rest take about ${(needed / gibibyte).toFixed(1)}`;
  const fix = `set ER_GATEWAY_WORKERS to ${Math.max(1, Math.floor((totalmem() / 2 - restBytes) / workerBytes))} or fewer`;
  return finding('memory', found, needed > totalmem() * 0.8 ? fix : null, 'warn');
}

function diskFinding(what: string, folder: string): Finding {
  const { bavail, bsize } = statfsSync(nearestFolder(folder));
  const free = bavail * bsize;
  const fix = free < leastFreeBytes.warn ? `make room on the disk of ${folder}` : null;
  const status = free < leastFreeBytes.fail ? 'fail' : 'warn';
  return finding(what, `${(free / gibibyte).toFixed(1)} GiB are free`, fix, status);
}

function nearestFolder(folder: string): string {
  try {
    statfsSync(folder);
    return folder;
  } catch {
    return nearestFolder(dirname(folder));
  }
}

function openFilesFinding(): Finding {
  const limits = readFileSync('/proc/self/limits', 'utf8');
  const [, soft = '', hard = ''] = /^Max open files\s+(\S+)\s+(\S+)/m.exec(limits) ?? [];
  const isEnough = soft === 'unlimited' || Number(soft) >= leastOpenFiles;
  const fix = `ulimit -n ${leastOpenFiles} before npm start (now ${soft}, at most ${hard}); under systemd LimitNOFILE=`;
  return finding('open files (ulimit -n)', soft, isEnough ? null : fix, 'warn');
}
