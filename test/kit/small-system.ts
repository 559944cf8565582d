import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { get as getHttp } from 'node:http';
import { get as getHttps } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requestNodeArguments } from '../../apps/cli/src/pm2-apps.ts';
import { freePorts } from './free-port.ts';
import { waitFor } from './wait-for.ts';

const root = join(import.meta.dirname, '../..');

/** Apps that a small system runs, each once, from their sources. */
export type SmallSystemApp = 'state' | 'scheduler' | 'gateway';

/** Gateway, scheduler and state without PM2, in front of model servers that the test runs. */
export interface SmallSystem {
  url: string;
  key: string;
  keysFile: string;
  folder: string;
  /** Sends a request with the key; the path begins with `/`. */
  fetch: (path: string, init?: RequestInit) => Promise<Response>;
  /** Sends JSON with the key. */
  post: (path: string, body: unknown, headers?: Record<string, string>) => Promise<Response>;
  /** kill -9. */
  kill: (app: SmallSystemApp) => Promise<void>;
  /** SIGTERM; resolves when it has ended by itself. */
  terminate: (app: SmallSystemApp) => Promise<void>;
  start: (app: SmallSystemApp) => void;
  /** Its process id now. */
  pid: (app: SmallSystemApp) => number;
  /** Sends any signal, and waits for nothing: SIGSTOP, SIGCONT. */
  signal: (app: SmallSystemApp, signal: NodeJS.Signals) => void;
  /** What an app wrote to stdout and stderr so far. */
  output: (app: SmallSystemApp) => string;
  /** Ends all of it; resolves when nothing is left. */
  stop: () => Promise<void>;
}

export interface SmallSystemOptions {
  embeddingUrls: string[];
  rerankerUrls: string[];
  env?: Record<string, string>;
  /** Wait until both models can answer. Default true. */
  waitForModels?: boolean;
  /** Longest time until it answers, in milliseconds. Default: 30 s. */
  timeoutMs?: number;
}

/** Starts a small system and waits until it answers. */
export async function startSmallSystem({
  embeddingUrls,
  rerankerUrls,
  env = {},
  waitForModels = true,
  timeoutMs = 30_000,
}: SmallSystemOptions): Promise<SmallSystem> {
  const folder = mkdtempSync(join(tmpdir(), 'er-small-'));
  const [gatewayPort, monitorPort] = (await freePorts(2)) as [number, number];
  const url = `${env.ER_GATEWAY_TLS_CERT ? 'https' : 'http'}://127.0.0.1:${gatewayPort}`;
  const keysFile = join(folder, 'keys.json');
  const environment = {
    PATH: process.env.PATH,
    ER_ENGINE: 'external',
    ER_MODELS_EMBEDDING_URLS: embeddingUrls.join(','),
    ER_MODELS_RERANKER_URLS: rerankerUrls.join(','),
    ER_GATEWAY_PORT: String(gatewayPort),
    ER_GATEWAY_WORKERS: '1',
    ER_MONITOR_PORT: String(monitorPort),
    ER_RUN_DIR: join(folder, 'run'),
    ER_LOGS_DIR: join(folder, 'logs'),
    ER_KEYS_FILE: keysFile,
    ER_LIMITS_REQUESTS_PER_MINUTE: '1000000',
    ...env,
  };
  const children = new Map<SmallSystemApp, ChildProcess>();
  const outputs = new Map<SmallSystemApp, string[]>();
  const start = (app: SmallSystemApp) => {
    const child = spawn(process.execPath, [...requestNodeArguments, join(root, 'apps', app, 'src/main.ts')], {
      cwd: root,
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const lines = outputs.get(app) ?? [];
    outputs.set(app, lines);
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', chunk => lines.push(String(chunk)));
    children.set(app, child);
  };
  const end = async (app: SmallSystemApp, signal: NodeJS.Signals) => {
    const child = children.get(app);
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  };
  const output = (app: SmallSystemApp) => (outputs.get(app) ?? []).join('');
  const stop = async () => {
    await Promise.all([...children.keys()].map(app => end(app, 'SIGKILL')));
    rmSync(folder, { recursive: true, force: true });
  };

  const apps: SmallSystemApp[] = env.REDIS_URL ? ['scheduler', 'gateway'] : ['state', 'scheduler', 'gateway'];
  for (const app of apps) start(app);
  try {
    await waitFor(
      'the gateway',
      async () => {
        const gateway = children.get('gateway');
        if (gateway && gateway.exitCode !== null)
          throw new Error(`the gateway exited:\n${output('gateway')}`);
        return isOk(`${url}${waitForModels ? '/health' : '/health/live'}`);
      },
      { timeoutMs },
    );
  } catch (error) {
    const said = apps.map(app => `--- ${app}\n${output(app)}`).join('\n');
    await stop();
    throw new Error(`the small system did not start:\n${said}`, { cause: error });
  }
  const key = /er-[0-9A-Za-z]{40}/.exec(readFileSync(keysFile, 'utf8'))?.[0] ?? '';
  const withKey = (path: string, init: RequestInit = {}) =>
    fetch(`${url}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${key}`, ...(init.headers as Record<string, string>) },
    });
  return {
    url,
    key,
    keysFile,
    folder,
    fetch: withKey,
    post: (path, body, headers = {}) =>
      withKey(path, {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json', ...headers },
      }),
    kill: app => end(app, 'SIGKILL'),
    terminate: app => end(app, 'SIGTERM'),
    start,
    pid: app => children.get(app)?.pid ?? 0,
    signal: (app, signal) => children.get(app)?.kill(signal),
    output,
    stop,
  };
}

/** Whether a GET answers 200; any certificate will do. */
function isOk(url: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const get = url.startsWith('https:') ? getHttps : getHttp;
    get(url, { agent: false, rejectUnauthorized: false }, answer => {
      answer.resume();
      resolve(answer.statusCode === 200);
    }).on('error', reject);
  });
}
