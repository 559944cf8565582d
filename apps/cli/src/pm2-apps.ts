import { join } from 'node:path';
import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import { roles } from '@er-gateway/shared/config/schema';
import { configExitCode } from '@er-gateway/shared/errors/config-error';

/** The name under which PM2 groups our apps: `pm2 logs er-gateway`. */
export const namespace = 'er-gateway';

/** One app as PM2 takes it (pm2 7.0.4, lib/API/schema.json). */
export interface Pm2App {
  name: string;
  script: string;
  args: string[];
  exec_mode: 'cluster' | 'fork';
  instances: number;
  out_file: string;
  [option: string]: unknown;
}

/**
 * What V8 leaves out in the processes that requests go through. Their objects live as long as a request, and it guesses otherwise (Node 24,
 * 64 clients before a model server that costs nothing; scheduler/design.md, "Where the time goes"):
 * - Allocation site pretenuring: while a process warms up, requests outlive several small collections, so V8 takes their
 *   closures for long-lived and has them born old. There they keep all of their request until a large collection: 8.4 kB of each
 *   request went to the old generation, and small collections took 11 ms each; without it 0.1 kB, and 1.5 ms.
 * - The memory reducer collects once a process has rested for 8 s, and lets its heap grow only slowly from then on, for good: the
 *   scheduler made a large collection every 200 ms, and took 130 us for a text instead of 50.
 * - The old generation may grow by a tenth only, since V8 (13.6) believes that its collections cost nothing, and bytes outside of
 *   its heap count as old, also those that the next small collection frees. With a young generation of 64 MB these alone were more
 *   than that tenth: a large collection every 300 to 500 ms. So it may double, and small collections come after 16 MB.
 */
export const requestNodeArguments: readonly string[] = [
  '--no-allocation-site-pretenuring',
  '--no-memory-reducer',
  '--heap-growing-percent=100',
  '--max-semi-space-size=16',
];

/** Longest time that a process gets to end what it has begun, before PM2 kills it. */
const killTimeoutMs = 60_000;

/** Every app of the system, the slowest to start first: PM2 starts two at a time, and all workers of one app in a row. */
export function pm2Apps(config: EffectiveConfig, configFile: string): Pm2App[] {
  const app = (name: string, script: string, options: Partial<Pm2App> = {}): Pm2App => ({
    name,
    namespace,
    script: join('dist', script, 'start.cjs'),
    args: [],
    cwd: config.root,
    exec_mode: 'fork',
    instances: 1,
    env: { ER_EFFECTIVE_CONFIG: configFile },
    out_file: join(config.logs.dir, `${name}.log`),
    error_file: join(config.logs.dir, `${name}.log`),
    merge_logs: true,
    autorestart: true,
    // A restart delay would turn this into an endless "waiting restart" (pm2 7.0.4, God.js handleExit).
    stop_exit_codes: [configExitCode],
    kill_timeout: killTimeoutMs,
    kill_retry_time: 50,
    // No process but a supervisor has children, and it ends its own; PM2's way would signal a model server's parts.
    treekill: false,
    // PM2's agent inside each process costs CPU and memory, and ends it before it can clean up when PM2 dies.
    pmx: false,
    vizion: false,
    // There are no maps: to read one would cost each worker a seventh of its start.
    disable_source_map_support: true,
    ...options,
  });
  const models = roles
    .filter(role => config.models[role].engine !== 'external')
    .map(role => app(role, 'supervisor', { args: [role], instances: config.models[role].replicas }));
  const onRequestPath = { node_args: requestNodeArguments };
  const state = config.redis.url === null ? [app('state', 'state', onRequestPath)] : [];
  return [
    app('gateway', 'gateway', {
      ...onRequestPath,
      exec_mode: 'cluster',
      instances: config.gateway.workers,
      // A reload ends an old worker when the new one listens, or after this time.
      listen_timeout: killTimeoutMs,
    }),
    app('scheduler', 'scheduler', onRequestPath),
    ...state,
    ...models,
    app('monitor', 'monitor'),
  ];
}
