import { watch } from 'node:fs';
import { join } from 'node:path';
import type { CommandContext } from './command-context.ts';
import { reload } from './reload.ts';
import { runNode } from './run-node.ts';
import { start } from './start.ts';
import { stop } from './stop.ts';

/** Rests this long after a change before it builds: editors write several files in a row. */
const settleMs = 200;
const reloaded = ['scheduler', 'state', 'monitor'];

/** Starts the system with two workers, builds and reloads on each change of a source, stops it on ^C. */
export async function dev(context: CommandContext): Promise<void> {
  const { root, environment, pm2, output } = context;
  await start({ ...context, environment: { ER_GATEWAY_WORKERS: '2', ...environment } });
  output.write('Watching the sources; ^C stops everything.\n');

  let timer: NodeJS.Timeout | undefined;
  let work = Promise.resolve();
  const rebuild = async () => {
    if ((await runNode(root, [join('apps', 'cli', 'build.mjs')], environment)) !== 0) return;
    try {
      await reload(context);
    } catch (error) {
      output.write(`${(error as Error).message}\n`);
      return;
    }
    for (const app of reloaded) await pm2.run(['reload', app]);
    output.write(`${new Date().toLocaleTimeString()} reloaded\n`);
  };
  const watchers = ['apps', 'shared', 'supervisor'].map(folder =>
    watch(join(root, folder), { recursive: true }, (_, name) => {
      if (!name?.endsWith('.ts')) return;
      clearTimeout(timer);
      timer = setTimeout(() => {
        work = work.then(rebuild);
      }, settleMs);
    }),
  );

  await new Promise(resolve => {
    // Not once: the starter may pass on a signal that the terminal has sent us already.
    process.on('SIGINT', resolve);
    process.on('SIGTERM', resolve);
  });
  for (const watcher of watchers) watcher.close();
  clearTimeout(timer);
  await work;
  await stop(context);
}
