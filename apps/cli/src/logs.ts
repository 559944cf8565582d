import { type CommandContext, CommandError } from './command-context.ts';
import { namespace } from './pm2-apps.ts';
import { runningSystem } from './running-system.ts';

/** Shows the last lines of the logs, of one app or of all, and those that follow when `follow` is set. */
export async function logs(
  { root, pm2 }: CommandContext,
  app: string | undefined,
  { follow = false, lines = '30' },
): Promise<number> {
  const { processes } = await runningSystem(root, pm2);
  const names = [...new Set(processes.map(process => process.name))];
  if (names.length === 0) throw new CommandError('Nothing runs. The files of the last run are in logs/.');
  if (app && !names.includes(app))
    throw new CommandError(`There is no app ${app}; there are ${names.join(', ')}.`);
  // PM2 takes a namespace when it follows, and only names or a pattern when it does not.
  const which = app ?? (follow ? namespace : `/^(${names.join('|')})$/`);
  return pm2.show(['logs', which, '--lines', lines, ...(follow ? [] : ['--nostream'])]);
}
