import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import { roles } from '@er-gateway/shared/config/schema';
import { readModelProcess } from '@er-gateway/shared/model-process-status';
import { groupMembers } from '@er-gateway/shared/process-table';
import { portOwner, whyTaken } from '../port-owner.ts';
import { portClaims } from '../preflight.ts';
import { type Finding, finding } from './finding.ts';

const redisTimeoutMs = 2000;

/** Every port, and Redis. `own` are the processes that PM2 runs for us. */
export async function networkFindings(config: EffectiveConfig, own: ReadonlySet<number>): Promise<Finding[]> {
  const ours = new Set([...own, ...modelServerPids(config)]);
  const ports = portClaims(config).map(async ({ setting, host, port }) => {
    const what = `port ${port} (${setting})`;
    const reason = await whyTaken(host, port);
    if (reason === null) return finding(what, 'free', null);
    const owner = portOwner(port);
    // In cluster mode the daemon listens for the workers.
    if (owner && (ours.has(owner.pid) || /PM2|God Daemon/.test(owner.command))) {
      return finding(what, `er-gateway listens (pid ${owner.pid})`, null);
    }
    const found = owner ? `taken by pid ${owner.pid} (${owner.command})` : `cannot be had (${reason})`;
    const variable = `ER_${setting.replaceAll('.', '_').toUpperCase()}`;
    return finding(what, found, `stop that process, or set ${variable} to another port`);
  });
  return [...(await Promise.all(ports)), await redisFinding(config.redis.url)];
}

function modelServerPids(config: EffectiveConfig): number[] {
  return roles.flatMap(role =>
    config.models[role].upstreams.flatMap((_, replica) => {
      const app = replica === 0 ? role : `${role}-${replica}`;
      const pid = readModelProcess(runPaths.modelStatus(config.run_dir, app))?.pid;
      return pid ? groupMembers(pid).map(member => member.pid) : [];
    }),
  );
}

async function redisFinding(url: string | null): Promise<Finding> {
  if (url === null) return finding('Redis', 'not used: the state app keeps keys and limits', null);
  const { hostname, port, protocol } = new URL(url);
  const where = `${hostname}:${port || 6379}`;
  const answer = await pingRedis(url).catch((error: Error) => error.message);
  const isThere = /^\+PONG|^-NOAUTH|^-WRONGPASS/.test(answer);
  const fix = `start Redis there, or correct REDIS_URL (${protocol}//${where}); without it the state app is used`;
  return finding('Redis', isThere ? `answers on ${where}` : `${where}: ${answer}`, isThere ? null : fix);
}

/** The first line that Redis answers to PING. */
function pingRedis(url: string): Promise<string> {
  const { hostname, port, protocol, pathname } = new URL(url);
  const address = { host: hostname, port: Number(port || 6379) };
  return new Promise((resolve, reject) => {
    const socket =
      protocol === 'rediss:'
        ? connectTls(address)
        : protocol === 'unix:'
          ? connect(pathname)
          : connect(address);
    socket.setTimeout(redisTimeoutMs, () => socket.destroy(new Error('no answer within 2 s')));
    socket.once('error', reject);
    socket.once('data', data => {
      socket.destroy();
      resolve(data.toString().split('\r\n')[0] ?? '');
    });
    socket.write('PING\r\n');
  });
}
