import { resolveConfig } from '@er-gateway/shared/config/effective-config';
import type { KeyView } from '@er-gateway/shared/keys/key-grants';
import type { SchedulerInspection } from '@er-gateway/shared/scheduler-protocol';
import { type CommandContext, CommandError } from './command-context.ts';
import { processStatus } from './control-sockets.ts';
import { openKeyApi } from './keys.ts';
import { queueView } from './queue-view.ts';
import { runningSystem } from './running-system.ts';

/** Prints what waits, for whom, and how the servers do, for people or as JSON. Throws CommandError when nothing runs. */
export async function queue(context: CommandContext, { json = false } = {}): Promise<void> {
  const { root, environment, pm2, output } = context;
  const config = (await runningSystem(root, pm2)).config ?? resolveConfig(root, environment);
  const seen = await processStatus<SchedulerInspection>(config.run_dir, 'scheduler');
  if (seen === null) throw new CommandError('The scheduler does not run, or does not answer (npm start).');
  if (json) {
    output.write(`${JSON.stringify(seen, null, 2)}\n`);
    return;
  }
  const names = await keyNames(context);
  output.write(`${queueView(seen, keyId => names.get(keyId) ?? keyId)}\n`);
}

/** Names of keys by id; none while the gateway cannot tell. */
async function keyNames(context: CommandContext): Promise<Map<string, string>> {
  try {
    const api = await openKeyApi(context);
    const { keys } = await api<{ keys: KeyView[] }>('GET', '');
    return new Map(keys.map(({ id, name }) => [id, name]));
  } catch {
    return new Map();
  }
}
