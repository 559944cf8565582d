import { readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import { roles } from '@er-gateway/shared/config/schema';
import { readModelProcess } from '@er-gateway/shared/model-process-status';
import { pm2Home, runningPm2Daemon } from '../node-version.cjs';
import { type CommandContext, CommandError } from './command-context.ts';
import { isAlive } from './control-sockets.ts';
import { endLeftoverGroups, resolvedOrNull } from './leftover-groups.ts';
import { namespace } from './pm2-apps.ts';
import { portOwner } from './port-owner.ts';
import { portClaims } from './preflight.ts';
import { runningSystem } from './running-system.ts';

/** Longest wait for processes that PM2 has signalled, or given up, to be gone. */
const goneWithinMs = 10_000;

/**
 * Stops everything of er-gateway, model servers that outlived their supervisors too, and PM2's daemon when it runs nothing
 * else. Nothing to stop is no error. Throws
 * CommandError when a process or port is left.
 */
export async function stop({ root, environment, pm2, output }: CommandContext): Promise<void> {
  const { processes, others, config } = await runningSystem(root, pm2);
  const pids = processes.map(({ pid }) => pid).filter(pid => pid > 0);
  if (config) pids.push(...modelServerPids(config));
  const owners = new Set(pids);

  if (processes.length > 0) {
    output.write('Stopping er-gateway ...\n');
    const { code, output: said } = await pm2.run(['delete', namespace]);
    if (code !== 0) throw new CommandError(`pm2 delete failed:\n${said.trim()}`);
  }
  const daemon = runningPm2Daemon(environment);
  if (daemon && others.length === 0) {
    await pm2.run(['kill']);
    pids.push(daemon);
  }
  const left = await stillAlive(pids);
  const known = config ?? resolvedOrNull(root, environment);
  const ended = known ? await endLeftoverGroups(known) : [];
  for (const line of ended) output.write(`${line}\n`);
  const ports = config ? portClaims(config).filter(({ port }) => owners.has(portOwner(port)?.pid ?? 0)) : [];
  if (left.length > 0 || ports.length > 0) {
    throw new CommandError(
      `These are left: ${[...left.map(pid => `process ${pid}`), ...ports.map(({ port }) => `port ${port}`)].join(', ')}`,
    );
  }
  if (config) removeRunFiles(config);
  output.write(processes.length + ended.length > 0 ? 'er-gateway is stopped.\n' : 'Nothing runs.\n');
  if (others.length > 0) output.write(`PM2 goes on running: ${pm2Home(environment)} has other apps.\n`);
}

/** Leaders of the model servers' process groups, which are no children that PM2 knows. */
function modelServerPids(config: EffectiveConfig): number[] {
  return roles.flatMap(role =>
    config.models[role].upstreams.flatMap((_, replica) => {
      const app = replica === 0 ? role : `${role}-${replica}`;
      return readModelProcess(runPaths.modelStatus(config.run_dir, app))?.pid ?? [];
    }),
  );
}

async function stillAlive(pids: readonly number[]): Promise<number[]> {
  const deadline = performance.now() + goneWithinMs;
  let left = pids.filter(isAlive);
  while (left.length > 0 && performance.now() < deadline) {
    await delay(50);
    left = left.filter(isAlive);
  }
  return left;
}

/** Removes what killed processes left in the run folder, and the folder when nothing else is in it. */
export function removeRunFiles({ run_dir: runDir }: Pick<EffectiveConfig, 'run_dir'>): void {
  const isOurs = (name: string) => /\.sock$|\.status\.json$|^gpu-\d+\.lock$/.test(name);
  for (const folder of [runPaths.controlDir(runDir), runDir]) {
    try {
      const names = readdirSync(folder);
      for (const name of names.filter(isOurs)) rmSync(join(folder, name), { force: true });
      for (const name of names.filter(found => found.endsWith('.starts.json')))
        forgetFailures(join(folder, name));
      rmdirSync(folder);
    } catch {
      // gone already, or somebody else's file is in it
    }
  }
}

/** Of a model's starts only the time to load is kept: the estimates of the next start are made of it. */
function forgetFailures(file: string): void {
  const { loadMs } = JSON.parse(readFileSync(file, 'utf8')) as { loadMs?: number | null };
  if (typeof loadMs === 'number') writeFileSync(file, JSON.stringify({ loadMs }), { mode: 0o600 });
  else rmSync(file);
}
