import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../kit/free-port.ts';
import { waitFor } from '../../kit/wait-for.ts';

const root = join(import.meta.dirname, '../../..');

/** A run folder with what a test started in it; `stop` ends all of it. */
export interface Host {
  runDir: string;
  port: number;
  /** A counting process that has its control socket. */
  start: (app: string, status?: object) => Promise<CountingProcess>;
  startMonitor: (options?: {
    programs?: Record<string, string>;
    port?: number;
    env?: Record<string, string>;
  }) => Promise<Monitor>;
  stop: () => Promise<void>;
}

export interface CountingProcess {
  pid: number;
  /** Counts so many answered requests. */
  count: (requests: number) => Promise<void>;
  end: (signal: NodeJS.Signals) => Promise<void>;
  signal: (signal: NodeJS.Signals) => void;
}

export interface Monitor {
  pid: number;
  log: () => string;
  end: (signal: NodeJS.Signals) => Promise<number | null>;
  isRunning: () => boolean;
}

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/** A host of its own in a temporary folder. */
export async function createHost(): Promise<Host> {
  const folder = mkdtempSync(join(tmpdir(), 'er-monitor-'));
  const runDir = join(folder, 'run');
  const port = await freePort();
  mkdirSync(join(runDir, 'control'), { recursive: true, mode: 0o700 });
  const children: ChildProcess[] = [];

  const run = (args: string[], env: NodeJS.ProcessEnv) => {
    const child = spawn(process.execPath, args, { cwd: root, env, stdio: ['pipe', 'pipe', 'pipe'] });
    children.push(child);
    let output = '';
    child.stdout?.on('data', chunk => {
      output += chunk;
    });
    child.stderr?.on('data', chunk => {
      output += chunk;
    });
    return { child, output: () => output };
  };

  const start: Host['start'] = async (app, status = {}) => {
    const program = join(import.meta.dirname, 'counting-process.ts');
    const { child, output } = run([program, runDir, app, JSON.stringify(status)], { PATH: process.env.PATH });
    await waitFor(`${app} to be ready`, () => output().includes('ready\n'));
    return {
      pid: child.pid as number,
      count: async requests => {
        const length = output().length;
        child.stdin?.write(`${requests}\n`);
        await waitFor(`${app} to count`, () => output().length > length);
      },
      end: async signal => {
        await end(child, signal);
      },
      signal: signal => child.kill(signal),
    };
  };

  const startMonitor: Host['startMonitor'] = async (options = {}) => {
    const programs = join(folder, 'programs');
    mkdirSync(programs, { recursive: true });
    for (const [name, text] of Object.entries(options.programs ?? {})) {
      writeFileSync(join(programs, name), text);
      chmodSync(join(programs, name), 0o755);
    }
    const { child, output } = run(['apps/monitor/src/main.ts'], {
      PATH: `${programs}:/usr/bin:/bin`,
      ER_RUN_DIR: runDir,
      ER_MONITOR_PORT: `${options.port ?? port}`,
      ER_GATEWAY_WORKERS: '2',
      ER_ENGINE: 'builtin',
      ...options.env,
    });
    await waitFor('the monitor to listen', () => /metrics and dashboard on|cannot be opened/.test(output()));
    return {
      pid: child.pid as number,
      log: output,
      end: signal => end(child, signal),
      isRunning: () => child.exitCode === null && child.signalCode === null,
    };
  };

  const stop = async () => {
    await Promise.all(children.map(child => end(child, 'SIGKILL')));
    rmSync(folder, { recursive: true, force: true });
  };
  return { runDir, port, start, startMonitor, stop };
}

function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise(resolve => {
    child.once('exit', resolve);
    child.kill(signal);
  });
}

/** Asks the monitor by its socket (a path) or its loopback port (a number). */
export function ask(
  target: string | number,
  path: string,
  { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const where = typeof target === 'string' ? { socketPath: target } : { host: '127.0.0.1', port: target };
  return new Promise((resolve, reject) => {
    const sent = request({ ...where, path, method, headers, agent: false, timeout: 10_000 }, response => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const body = Buffer.concat(chunks).toString();
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
      });
    });
    sent.on('timeout', () => sent.destroy(new Error(`no answer to ${path}`)));
    sent.on('error', reject);
    sent.end();
  });
}
