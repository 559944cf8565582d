import { rmSync } from 'node:fs';
import { type EffectiveConfig, resolveConfig } from '@er-gateway/shared/config/effective-config';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import { checkKeyFile } from '@er-gateway/shared/keys/key-file';
import { isAtLeast, nodeOfProcess, oldestNode, runningPm2Daemon } from '../node-version.cjs';
import { type CommandContext, CommandError } from './command-context.ts';
import { prepareApps } from './effective-config-file.ts';
import { gatewayUrl } from './gateway-request.ts';
import { type MissingParts, missingParts, processName } from './missing-parts.ts';
import { modelViews } from './model-view.ts';
import { pm2Apps } from './pm2-apps.ts';
import { takenPorts } from './preflight.ts';
import { createProgress } from './progress.ts';
import { type RunningSystem, runningSystem } from './running-system.ts';
import { describeFailure, type StartFailure } from './start-failure.ts';
import { summaryOf } from './summary.ts';
import { waitUntilUp } from './wait-until-up.ts';

/**
 * Starts what does not run yet, waits until both models answer, and says how to use it; with `detach` it waits for the
 * gateway alone, and only tells how the models stand. Throws ConfigError
 * (a key file that cannot be read is one too) or CommandError when a port is taken, with nothing started, and CommandError
 * when an app does not come up.
 */
export async function start(context: CommandContext, { detach = false } = {}): Promise<void> {
  const { root, environment, pm2, output } = context;
  const begin = performance.now();
  const wanted = resolveConfig(root, environment);
  await replaceOldDaemon(context);
  const running = await runningSystem(root, pm2);
  refuseForeign(running, root);

  // What runs keeps its settings: parts of one system must not disagree.
  const config = running.config ?? wanted;
  const missing = missingParts(pm2Apps(config, ''), running.processes);
  const isUp = missing.apps.length + missing.processes.length === 0;
  if (isUp) output.write(`er-gateway is up already: ${gatewayUrl(config)}\n`);
  if (JSON.stringify(config) !== JSON.stringify(wanted))
    output.write('The settings have changed since; `npm run restart` puts them to use.\n');

  if (missing.apps.some(app => app.name === 'gateway')) checkKeyFile(config.keys.file);
  const taken = await takenPorts(config, new Set(missing.apps.map(app => app.name)));
  if (taken.length > 0) throw new CommandError(`er-gateway was not started.\n${taken.join('\n')}`);
  const started = isUp ? Promise.resolve(null) : startParts(context, config, missing);
  await finish(context, config, started, begin, detach);
}

/** Has PM2 start what is missing; resolves to why PM2 refused, or null. Throws ConfigError for an unusable run folder. */
export async function startParts(
  { pm2, environment }: CommandContext,
  config: EffectiveConfig,
  { apps, processes }: MissingParts,
): Promise<StartFailure | null> {
  const configFile = prepareApps(config, environment);
  // What a supervisor that gave up said last must not be taken for the word of the next one.
  const instances = apps.flatMap(({ name, instances }) =>
    Array.from({ length: instances }, (_, instance) => ({ name, instance })),
  );
  const names = [...instances, ...processes].map(processName);
  for (const name of names) rmSync(runPaths.modelStatus(config.run_dir, name), { force: true });
  const only = apps.map(({ name }) => name).join(',');
  const commands = [
    ...(apps.length > 0 ? [['start', 'ecosystem.config.js', '--only', only]] : []),
    ...(processes.length > 0 ? [['restart', ...processes.map(({ id }) => String(id))]] : []),
  ];
  for (const command of commands) {
    const { code, output } = await pm2.run(command, { ER_EFFECTIVE_CONFIG: configFile });
    if (code !== 0) return { reason: `pm2 ${command[0]} failed:\n${output.trim()}`, logFile: null };
  }
  return null;
}

async function finish(
  { pm2, output }: CommandContext,
  config: EffectiveConfig,
  started: Promise<StartFailure | null>,
  begin: number,
  detach: boolean,
): Promise<void> {
  const progress = createProgress(output, 'Waiting for er-gateway');
  const failure = await waitUntilUp({ config, pm2, progress, started, isTerminal: output.isTTY, detach });
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  if (failure) {
    progress.end('er-gateway is not up', false);
    throw new CommandError(
      `${describeFailure(failure)}\n\nWhat runs goes on running: npm run status shows it, npm stop ends it.`,
    );
  }
  progress.end(`${detach ? 'The gateway listens' : 'er-gateway is up'} (${seconds} s)`, true);
  output.write(`${summaryOf(config, await modelViews(config))}\n`);
}

/** A PM2 daemon on a Node that is too old for the workers: replaced when it runs nothing, else it is the user's choice. */
async function replaceOldDaemon({ environment, pm2 }: CommandContext): Promise<void> {
  const pid = runningPm2Daemon(environment);
  const node = pid && nodeOfProcess(pid);
  if (!node || isAtLeast(node, oldestNode)) return;
  const apps = await pm2.list();
  if (apps.length > 0) {
    throw new CommandError(
      `The PM2 daemon (pid ${pid}) runs on Node ${node}, its workers would too, and ${oldestNode} or newer is needed. ` +
        `It runs ${[...new Set(apps.map(app => app.name))].join(', ')}. \`npx pm2 kill && npm start\` stops these and starts er-gateway.`,
    );
  }
  await pm2.run(['kill']);
}

function refuseForeign({ processes }: RunningSystem, root: string): void {
  const foreign = processes.find(process => process.cwd !== root);
  if (foreign) {
    throw new CommandError(
      `This PM2 runs an er-gateway of another folder already: ${foreign.cwd}. Stop it there (npm stop), or set PM2_HOME to a folder of its own for this one.`,
    );
  }
}
