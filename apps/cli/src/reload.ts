import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type EffectiveConfig, writeEffectiveConfig } from '@er-gateway/shared/config/effective-config';
import { environmentForApps } from './caller-environment.ts';
import { type CommandContext, CommandError } from './command-context.ts';
import { freeLoopbackPort } from './free-loopback-port.ts';
import { askGateway } from './gateway-request.ts';
import { requestNodeArguments } from './pm2-apps.ts';
import { startNode } from './run-node.ts';
import { runningSystem } from './running-system.ts';

const canaryTimeoutMs = 60_000;
const lookEveryMs = 100;
/** Workers that are replaced at once, at most; and at most a quarter of them all. */
const mostAtOnce = 16;

/**
 * Replaces every gateway worker by one of the present build, without a lost request. PM2 would replace the last old worker
 * even if no new one comes up (pm2 7.0.4, God/Reload.js), so one is tried first, beside them and on a port of its own.
 * Throws CommandError when that one does not answer as the old ones do; they go on as they are.
 */
export async function reload(context: CommandContext): Promise<void> {
  const { root, pm2, output } = context;
  const { processes, config } = await runningSystem(root, pm2);
  const workers = processes.filter(({ name }) => name === 'gateway');
  if (config === null || workers.length === 0) throw new CommandError('er-gateway does not run: npm start');
  await tryOneWorker(context, config);
  const atOnce = Math.max(1, Math.min(mostAtOnce, Math.ceil(workers.length / 4)));
  const { code, output: said } = await pm2.run(['reload', 'gateway', '--parallel', String(atOnce)]);
  if (code !== 0) throw new CommandError(`pm2 reload failed:\n${said.trim()}`);
  output.write(`${workers.length} gateway workers were replaced.\n`);
}

/** Boots one worker of the present build in the running system and asks for its health. Throws CommandError. */
async function tryOneWorker({ root, environment }: CommandContext, config: EffectiveConfig): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'er-canary-'));
  const logs = join(folder, 'logs');
  mkdirSync(logs);
  const own: EffectiveConfig = {
    ...config,
    gateway: { ...config.gateway, host: '127.0.0.1', port: await freeLoopbackPort() },
    logs: { ...config.logs, dir: logs },
  };
  const file = join(folder, 'config.json');
  writeEffectiveConfig(own, file);
  const { NODE_APP_INSTANCE: _, ...inherited } = environmentForApps(environment);
  const worker = startNode(root, [...requestNodeArguments, join('dist', 'gateway', 'start.cjs')], {
    ...inherited,
    ER_EFFECTIVE_CONFIG: file,
  });
  try {
    const deadline = performance.now() + canaryTimeoutMs;
    for (;;) {
      // Asked anew each time: a model may come up, or go, meanwhile.
      const [present, tried] = await Promise.all([askGateway(config, '/health'), askGateway(own, '/health')]);
      if (tried !== null && tried.status === (present?.status ?? 200)) return;
      if (worker.exitCode() !== null) fail(`it ended with status ${worker.exitCode()}`, worker.output());
      if (performance.now() > deadline) fail('it does not answer', worker.output());
      await delay(lookEveryMs);
    }
  } finally {
    await worker.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function fail(why: string, said: string): never {
  const end = said.trim().split('\n').slice(-15).join('\n  ');
  throw new CommandError(
    `Nothing was reloaded: a worker of the present build was tried, and ${why}.\n  ${end}\nThe old workers go on answering.`,
  );
}
