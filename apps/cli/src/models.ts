import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type EffectiveConfig, resolveConfig } from '@er-gateway/shared/config/effective-config';
import { type Role, roles } from '@er-gateway/shared/config/schema';
import { type CommandContext, CommandError } from './command-context.ts';
import { followFile, lastLines } from './follow-file.ts';
import { missingParts } from './missing-parts.ts';
import { modelDetails } from './model-details.ts';
import { modelTable } from './model-table.ts';
import { modelViews } from './model-view.ts';
import { pm2Apps } from './pm2-apps.ts';
import { takenPorts } from './preflight.ts';
import { createProgress } from './progress.ts';
import { restartModel } from './restart-models.ts';
import { runningSystem } from './running-system.ts';
import { startParts } from './start.ts';
import { describeFailure, FailureFinder } from './start-failure.ts';

/** Prints the model servers, for people or as JSON. */
export async function modelsStatus(context: CommandContext, chosen: readonly Role[], json: boolean) {
  const { config, running } = await configuration(context);
  const models = (await modelDetails(config, running)).filter(model => chosen.includes(model.role));
  const text = json ? JSON.stringify(models, null, 2) : modelTable(models, context.root);
  context.output.write(`${text}\n`);
}

/** Restarts model servers one by one, so that one of several always answers. Throws CommandError. */
export async function modelsRestart(context: CommandContext, chosen: readonly Role[]): Promise<void> {
  const { config, running } = await configuration(context);
  for (const role of ownRoles(config, chosen)) await restartModel(context, config, role, running);
}

/** Prints the end of the model servers' logs, and what follows until ^C when `follow` is set. */
export async function modelsLogs(
  context: CommandContext,
  chosen: readonly Role[],
  { follow = false, lines = '30' },
): Promise<void> {
  const { config } = await configuration(context);
  const { output } = context;
  const models = (await modelViews(config)).filter(({ role }) => ownRoles(config, chosen).includes(role));
  const files = models.map(({ app }) => join(config.logs.dir, `${app}_model.log`));
  for (const file of files) {
    output.write(`==> ${file} <==\n${lastLines(file, Number(lines) || 30).join('\n')}\n`);
  }
  if (!follow) return;
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort());
  await Promise.all(files.map(file => followFile(file, text => output.write(text), stop.signal)));
}

/** Starts the model servers that do not run, and waits until they answer. Throws CommandError when one does not. */
export async function modelsStart(context: CommandContext, chosen: readonly Role[]): Promise<void> {
  const { config, running } = await configuration(context);
  const own = ownRoles(config, chosen);
  const wanted = pm2Apps(config, '').filter(app => own.some(role => role === app.name));
  const missing = missingParts(wanted, running);
  const taken = await takenPorts(config, new Set(missing.apps.map(({ name }) => name)));
  if (taken.length > 0) throw new CommandError(taken.join('\n'));
  if (missing.apps.length + missing.processes.length > 0) {
    const failure = await startParts(context, config, missing);
    if (failure) throw new CommandError(describeFailure(failure));
  }
  await waitForModels(context, config, own);
}

/** Stops model servers; the gateway answers 503 for them from then on. */
export async function modelsStop(context: CommandContext, chosen: readonly Role[]): Promise<void> {
  const { config, running } = await configuration(context);
  for (const role of ownRoles(config, chosen)) {
    const isThere = running.some(({ name, status }) => name === role && status !== 'stopped');
    if (isThere) {
      const { code, output } = await context.pm2.run(['stop', role]);
      if (code !== 0) throw new CommandError(`pm2 stop ${role} failed:\n${output.trim()}`);
    }
    context.output.write(`${role} is stopped.\n`);
  }
}

async function waitForModels(
  context: CommandContext,
  config: EffectiveConfig,
  chosen: readonly Role[],
): Promise<void> {
  const progress = createProgress(context.output, 'Waiting for the models');
  const failures = new FailureFinder();
  for (;;) {
    const models = (await modelViews(config)).filter(model => chosen.includes(model.role));
    progress.show(
      models.map(({ app, state, detail }) => ({
        name: app,
        text: [state, detail].filter(Boolean).join(', '),
        isDone: state === 'ready',
      })),
    );
    if (models.every(model => model.state === 'ready')) break;
    const processes = (await context.pm2.list()).filter(({ name }) => chosen.some(role => role === name));
    const failure = failures.find(processes, models);
    if (failure) {
      progress.end('not ready', false);
      throw new CommandError(describeFailure(failure));
    }
    await delay(1000);
  }
  progress.end('ready', true);
}

async function configuration({ root, environment, pm2 }: CommandContext) {
  const { config, processes } = await runningSystem(root, pm2);
  return { config: config ?? resolveConfig(root, environment), running: processes };
}

/** The chosen models that we run ourselves. Throws CommandError when none of them is. */
function ownRoles(config: EffectiveConfig, chosen: readonly Role[]): Role[] {
  const own = chosen.filter(role => config.models[role].engine !== 'external');
  if (own.length === 0)
    throw new CommandError('These model servers are run by somebody else (engine: external).');
  return own;
}

/** The roles that a command names, all when it names none. Throws CommandError for a word that is no role. */
export function rolesNamed(word: string | undefined): readonly Role[] {
  if (word === undefined) return roles;
  const role = roles.find(name => name === word);
  if (!role)
    throw new CommandError(`There is no model ${word}: say ${roles.join(' or ')}, or nothing for both.`);
  return [role];
}
