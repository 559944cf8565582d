import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram } from '@er-gateway/shared/config/effective-config';
import { freePort } from './free-port.ts';
import { waitFor } from './wait-for.ts';

/** A redis-server of the tests, without persistence, which can be killed, started again on its port, and paused. */
export interface RedisServer {
  url: string;
  port: number;
  kill: () => Promise<void>;
  start: () => Promise<void>;
  pause: () => void;
  resume: () => void;
  stop: () => Promise<void>;
}

/**
 * Why tests with Redis cannot run here; false when they can. Throws where skipping is not allowed (`CI` is set).
 */
export function redisMissing(): string | false {
  if (findProgram('redis-server', process.env)) return false;
  const reason = 'no redis-server on PATH (Debian: apt-get install redis-server)';
  if (process.env.CI) throw new Error(`${reason}; with CI set, tests are not skipped`);
  return reason;
}

/** Starts a redis-server on a free port; resolves when it accepts connections. */
export async function startRedis(): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), 'er-redis-'));
  const port = await freePort();
  let child: ChildProcess | undefined;

  const start = async () => {
    const options = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    const started = spawn('redis-server', [...options, '--dir', folder], { stdio: 'ignore' });
    child = started;
    await waitFor(`redis-server on port ${port}`, () => {
      if (started.exitCode !== null) throw new Error(`redis-server ended with ${started.exitCode}`);
      return accepts(port);
    });
  };
  const kill = async () => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  await start();
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    kill,
    start,
    pause: () => child?.kill('SIGSTOP'),
    resume: () => child?.kill('SIGCONT'),
    stop: async () => {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function accepts(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const probe = connect(port, '127.0.0.1');
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}
