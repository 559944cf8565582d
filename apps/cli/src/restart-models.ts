import { rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import type { Role } from '@er-gateway/shared/config/schema';
import { type CommandContext, CommandError } from './command-context.ts';
import { processName } from './missing-parts.ts';
import { modelViews } from './model-view.ts';
import type { Pm2Process } from './pm2.ts';
import { createProgress } from './progress.ts';
import { describeFailure, FailureFinder } from './start-failure.ts';

const lookEveryMs = 500;

/**
 * Restarts the servers of a model one after the other: the next only when the one before answers again, so that of two one
 * always does. A supervisor drains its server first. Throws CommandError when one does not come back; those after it go on
 * running as they are.
 */
export async function restartModel(
  context: CommandContext,
  config: EffectiveConfig,
  role: Role,
  processes: readonly Pm2Process[],
): Promise<void> {
  const { pm2, output } = context;
  const own = processes.filter(({ name }) => name === role).sort((a, b) => a.instance - b.instance);
  if (own.length === 0) throw new CommandError(`${role} does not run: npm run models -- start ${role}`);
  if (own.length === 1) output.write(`${role} has one server: its requests get 503 until it is back.\n`);
  for (const { id, instance } of own) {
    output.write(`Restarting server ${instance + 1} of ${own.length} of ${role}\n`);
    // A supervisor that gave up left its word there: it must not be taken for that of the next one.
    rmSync(runPaths.modelStatus(config.run_dir, processName({ name: role, instance })), { force: true });
    const { code, output: said } = await pm2.run(['restart', String(id)]);
    if (code !== 0) throw new CommandError(`pm2 restart ${id} failed:\n${said.trim()}`);
    await untilReady(context, config, role, instance);
  }
}

async function untilReady(
  { pm2, output }: CommandContext,
  config: EffectiveConfig,
  role: Role,
  replica: number,
): Promise<void> {
  const progress = createProgress(output, 'Waiting for it to answer');
  const failures = new FailureFinder();
  for (;;) {
    const views = await modelViews(config);
    const view = views.find(found => found.role === role && found.replica === replica);
    if (!view) throw new Error(`there is no server ${replica} of ${role}`);
    const text = [view.state, view.detail].filter(Boolean).join(', ');
    progress.show([{ name: view.app, text, isDone: view.isReady }]);
    if (view.isReady) break;
    const own = (await pm2.list()).filter(({ name, instance }) => name === role && instance === replica);
    const failure = failures.find(own, [view]);
    if (failure) {
      progress.end('it does not come back', false);
      throw new CommandError(describeFailure(failure));
    }
    await delay(lookEveryMs);
  }
  progress.end('it answers', true);
}
