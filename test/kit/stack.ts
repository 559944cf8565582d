import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { freePorts } from './free-port.ts';
import { type ProgramResult, runProgram } from './run-program.ts';
import { stackProcesses } from './stack-processes.ts';

/** The project's root folder. */
export const projectRoot = resolve(import.meta.dirname, '../..');

/** A whole er-gateway under a PM2 of its own, started as `npm start` does it. */
export interface Stack {
  url: string;
  /** The first API key, an admin's. */
  key: string;
  keysFile: string;
  runDir: string;
  pm2Home: string;
  logsDir: string;
  monitorUrl: string;
  /** The environment in which our commands act on this stack. */
  env: NodeJS.ProcessEnv;
  /** What `npm start` printed. */
  startOutput: string;
  /** Runs one of our commands, for example `run('status', '--json')`. */
  run(...args: string[]): Promise<ProgramResult>;
  /** Runs `pm2 <args>`; resolves to its stdout and stderr. Throws when it fails. */
  pm2(args: readonly string[]): Promise<string>;
  /** Stops everything and removes the temp folder. Throws when a process, a socket or a port was left. */
  stop(): Promise<void>;
}

/** A place for a stack: a temp folder, free ports, and the environment that names them. Nothing runs in it yet. */
export interface StackPlace {
  folder: string;
  ports: { gateway: number; monitor: number; embedding: number; reranker: number };
  env: NodeJS.ProcessEnv;
}

/** Makes the temp folder and chooses the ports. */
export async function makeStackPlace({ workers = 2, env = {} }: StackOptions = {}): Promise<StackPlace> {
  const folder = mkdtempSync(join(tmpdir(), 'er-stack-'));
  const ports = await freeStackPorts();
  return {
    folder,
    ports,
    env: {
      ...callerWithoutSettings(),
      PATH: `${join(projectRoot, 'node_modules', '.bin')}${delimiter}${process.env.PATH ?? ''}`,
      PM2_HOME: join(folder, 'pm2'),
      ER_GATEWAY_WORKERS: String(workers),
      ER_GATEWAY_HOST: '127.0.0.1',
      ER_GATEWAY_PORT: String(ports.gateway),
      ER_MONITOR_PORT: String(ports.monitor),
      ER_MODELS_EMBEDDING_PORT: String(ports.embedding),
      ER_MODELS_RERANKER_PORT: String(ports.reranker),
      ER_RUN_DIR: join(folder, 'run'),
      ER_LOGS_DIR: join(folder, 'logs'),
      ER_KEYS_FILE: join(folder, 'er_api_keys.json'),
      ...env,
    },
  };
}

/** How a stack differs from the defaults. */
export interface StackOptions {
  workers?: number;
  /** Settings (`ER_…`) and other variables, over those of the place. */
  env?: NodeJS.ProcessEnv;
  /** Longest time for `npm start`, in milliseconds. Default: 300 s; two real vLLM on two busy cores need more. */
  startTimeoutMs?: number;
}

const commandTimeoutMs = 300_000;

/** Runs one of our commands in a place, as the npm script does. */
export const runCommand = (place: StackPlace, ...args: string[]) =>
  runProgram(process.execPath, ['apps/cli/bootstrap.cjs', ...args], {
    cwd: projectRoot,
    env: place.env,
    timeoutMs: commandTimeoutMs,
  });

/** Starts a stack and resolves when both models answer. Throws with what the start printed when it fails. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const place = await makeStackPlace(options);
  const { folder, ports, env } = place;
  const started = await runProgram(process.execPath, ['apps/cli/bootstrap.cjs', 'start'], {
    cwd: projectRoot,
    env: place.env,
    timeoutMs: options.startTimeoutMs ?? commandTimeoutMs,
  });
  if (started.code !== 0) {
    const problems = await clearPlace(place);
    throw new Error(`npm start ended with ${started.code}:\n${started.output}\n${problems.join('\n')}`);
  }
  const keysFile = env.ER_KEYS_FILE ?? join(folder, 'er_api_keys.json');
  return {
    url: `${env.ER_GATEWAY_TLS_CERT ? 'https' : 'http'}://127.0.0.1:${ports.gateway}`,
    key: firstKey(keysFile),
    keysFile,
    runDir: env.ER_RUN_DIR ?? '',
    pm2Home: env.PM2_HOME ?? '',
    logsDir: env.ER_LOGS_DIR ?? '',
    monitorUrl: `http://127.0.0.1:${ports.monitor}`,
    env,
    startOutput: started.output,
    run: (...args) => runCommand(place, ...args),
    pm2: async args => {
      const { code, output } = await runProgram(join(projectRoot, 'node_modules', '.bin', 'pm2'), args, {
        cwd: projectRoot,
        env: { ...env, PM2_DISABLE_VERSION_CHECK: '1', PM2_DISCRETE_MODE: 'true' },
      });
      if (code !== 0) throw new Error(`pm2 ${args.join(' ')} ended with ${code}:\n${output}`);
      return output;
    },
    stop: async () => {
      const problems = await clearPlace(place);
      if (problems.length > 0) throw new Error(problems.join('\n'));
    },
  };
}

/** Stops what runs in a place, removes its folder, and tells what `stop` had left behind. */
export async function clearPlace(place: StackPlace): Promise<string[]> {
  const { folder, env } = place;
  const { code, output } = await runCommand(place, 'stop');
  const problems = code === 0 ? [] : [`npm stop ended with ${code}:\n${output}`];
  for (const { pid, command } of stackProcesses(env.PM2_HOME ?? '')) {
    problems.push(`left running: ${pid} ${command}`);
    process.kill(pid, 'SIGKILL');
  }
  const runDir = env.ER_RUN_DIR ?? '';
  if (existsSync(runDir)) {
    const left = readdirSync(runDir, { recursive: true, encoding: 'utf8' });
    for (const name of left.filter(path => path.endsWith('.sock'))) problems.push(`socket left: ${name}`);
  }
  for (const port of Object.values(place.ports))
    if (!(await isFree(port))) problems.push(`port left: ${port}`);
  rmSync(folder, { recursive: true, force: true });
  return problems;
}

/** The first API key of a key file. */
export function firstKey(keysFile: string): string {
  const key = /"(er-[0-9A-Za-z]{40})"/.exec(readFileSync(keysFile, 'utf8'))?.[1];
  if (!key) throw new Error(`${keysFile} holds no key`);
  return key;
}

/** Our settings and node:test's own variables stay with the test. */
function callerWithoutSettings(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(ER_|npm_|REDIS_URL$|NODE_TEST_|PM2_)/.test(name)),
  );
}

/** Four free ports; the models' next replicas' ports, 10 above, are free too. */
async function freeStackPorts(): Promise<StackPlace['ports']> {
  for (;;) {
    const [gateway = 0, monitor = 0, embedding = 0, reranker = 0] = await freePorts(4);
    const all = new Set([gateway, monitor, embedding, reranker, embedding + 10, reranker + 10]);
    const areFree = await Promise.all([embedding + 10, reranker + 10].map(isFree));
    if (all.size === 6 && areFree.every(Boolean)) return { gateway, monitor, embedding, reranker };
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise(done => {
    const server = createServer();
    server.once('error', () => done(false));
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)));
  });
}
