import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import { groupMembers } from '@er-gateway/shared/process-table';
import { recordedGroups } from '../leftover-groups.ts';
import { portOwner, whyTaken } from '../port-owner.ts';
import { portClaims } from '../preflight.ts';
import { type Finding, finding } from './finding.ts';

const redisTimeoutMs = 2000;

/** Every port, and Redis. `own` are the processes that PM2 runs for us. */
export async function networkFindings(config: EffectiveConfig, own: ReadonlySet<number>): Promise<Finding[]> {
  const servers = recordedGroups(config.run_dir).flatMap(({ pgid }) => groupMembers(pgid));
  const ours = new Set([...own, ...servers.map(({ pid }) => pid)]);
  const ports = portClaims(config).map(async ({ setting, host, port }) => {
    const what = `port ${port} (${setting})`;
    const reason = await whyTaken(host, port);
    if (reason === null) return finding(what, 'free', null);
    const owner = portOwner(port);
    // In cluster mode the daemon listens for the workers.
    if (owner && (ours.has(owner.pid) || /pm2|God Daemon/i.test(owner.command))) {
      return finding(what, `er-gateway listens (pid ${owner.pid})`, null);
    }
    const found = owner ? `taken by pid ${owner.pid} (${owner.command})` : `cannot be had (${reason})`;
    const variable = `ER_${setting.replaceAll('.', '_').toUpperCase()}`;
    return finding(what, found, `stop that process, or set ${variable} to another port`);
  });
  return [...(await Promise.all(ports)), await redisFinding(config.redis.url)];
}

async function redisFinding(url: string | null): Promise<Finding> {
  if (url === null) return finding('Redis', 'not used: the state app keeps keys and limits', null);
  const { hostname, port, protocol, pathname } = new URL(url);
  const where = protocol === 'unix:' ? pathname : `${hostname}:${port || 6379}`;
  const answer = await pingRedis(url).catch((error: Error) => error.message);
  if (answer === '+PONG') return finding('Redis', `answers on ${where}`, null);
  const fix = /^-(NOAUTH|WRONGPASS|ERR AUTH)/.test(answer)
    ? 'put its user and password into REDIS_URL (redis://user:password@host:6379)'
    : `start Redis there, or correct REDIS_URL (${protocol}//${where}); without it the state app is used`;
  return finding('Redis', `${where}: ${answer}`, fix);
}

/** What Redis answers to PING, after AUTH where the address has a password: its first complaint, or `+PONG`. */
export function pingRedis(url: string): Promise<string> {
  const { hostname, port, protocol, pathname, username, password } = new URL(url);
  const address = { host: hostname, port: Number(port || 6379) };
  const login = [username, password].filter(Boolean).map(decodeURIComponent);
  const commands = [...(password ? [['AUTH', ...login]] : []), ['PING']];
  return new Promise((resolve, reject) => {
    const socket =
      protocol === 'rediss:'
        ? connectTls(address)
        : protocol === 'unix:'
          ? connect(pathname)
          : connect(address);
    let said = '';
    socket.setTimeout(redisTimeoutMs, () => socket.destroy(new Error('no answer within 2 s')));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('it closed the connection without an answer')));
    socket.on('data', data => {
      said += data;
      const lines = said.split('\r\n').slice(0, -1);
      const complaint = lines.find(line => !line.startsWith('+'));
      if (complaint === undefined && lines.length < commands.length) return;
      resolve(complaint ?? lines.at(-1) ?? '');
      socket.destroy();
    });
    socket.write(commands.map(asRedisCommand).join(''));
  });
}

/** A command as Redis reads it (RESP): words of any content, each behind its length. */
function asRedisCommand(words: readonly string[]): string {
  const parts = words.map(word => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return `*${words.length}\r\n${parts.join('')}`;
}
