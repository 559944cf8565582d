import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { groupMembers } from '@er-gateway/shared/process-table';
import { pidOf, pidsOf } from '../kit/process-status.ts';
import { listProcesses, runPm2 } from '../kit/run-pm2.ts';
import type { Stack } from '../kit/stack.ts';
import { stackProcesses } from '../kit/stack-processes.ts';
import { waitFor } from '../kit/wait-for.ts';

/** One death and what it may cost. */
export interface Kill {
  name: string;
  /** Does it; returns what tells the processes that are left of it. */
  run: (stack: Stack) => Promise<() => number>;
  /** Most requests that may fail without an answer of ours; 503 with Retry-After is always allowed for `may503`. */
  allowed: { failed: number; may503: boolean };
}

const none = { failed: 0, may503: false };
const nothingLeft = () => 0;

const groupOf = (stack: Stack, app: string) =>
  Number(readFileSync(join(stack.logsDir, `${app}.pid`), 'utf8'));
const membersOf = (group: number) => groupMembers(group).map(({ pid }) => pid);
const supervisorOf = async (stack: Stack) => {
  const found = (await listProcesses(stack)).find(({ name }) => name === 'embedding');
  if (!found) throw new Error('no supervisor of the embedding model');
  return found.pid;
};

/** Kills the group's leader, or another of its processes. */
const killInGroup = (signal: NodeJS.Signals, which: 'leader' | 'engine') => async (stack: Stack) => {
  const group = groupOf(stack, 'embedding');
  const victim = which === 'leader' ? group : membersOf(group).find(pid => pid !== group);
  if (!victim) throw new Error('the model server has no engine process');
  process.kill(victim, signal);
  return () => membersOf(group).length;
};

const killApp = (app: string) => async (stack: Stack) => {
  process.kill(pidOf(stack.runDir, app), 'SIGKILL');
  return nothingLeft;
};

/** The group that runs in place of another; null while there is none. */
function nextGroup(stack: Stack, before: number): number | null {
  try {
    const group = groupOf(stack, 'embedding');
    return group === before ? null : group;
  } catch {
    return null;
  }
}

async function succeed(stack: Stack, ...command: string[]): Promise<void> {
  const { code, output } = await stack.run(...command);
  if (code !== 0) throw new Error(output);
}

/** Kills the daemon and others at the same time, waits until all of the stack has ended, and starts it again. */
const killDaemon = (others: (stack: Stack) => Promise<number[]>) => async (stack: Stack) => {
  const before = stackProcesses(stack.pm2Home).map(({ pid }) => pid);
  const daemon = Number(readFileSync(join(stack.pm2Home, 'pm2.pid'), 'utf8'));
  for (const pid of [daemon, ...(await others(stack))]) process.kill(pid, 'SIGKILL');
  const left = () => stackProcesses(stack.pm2Home).filter(({ pid }) => before.includes(pid)).length;
  await waitFor('all of the stack to end', () => left() === 0, { timeoutMs: 60_000 });
  await succeed(stack, 'start');
  return left;
};

/** Every death of the matrix, the mildest first. */
export const kills: readonly Kill[] = [
  { name: 'kill -9 scheduler', run: killApp('scheduler'), allowed: none },
  { name: 'kill -9 state', run: killApp('state'), allowed: none },
  { name: 'kill -9 monitor', run: killApp('monitor'), allowed: none },
  {
    name: 'kill -9 a gateway worker',
    run: async stack => {
      const [worker] = pidsOf(stack.runDir, 'gateway');
      if (worker === undefined) throw new Error('no gateway worker runs');
      process.kill(worker, 'SIGKILL');
      return nothingLeft;
    },
    // What was under way on its connections: one each.
    allowed: { failed: 8, may503: false },
  },
  {
    name: 'pm2 reload gateway',
    run: async stack => {
      const { code, output } = await runPm2(stack, 'reload', 'gateway');
      if (code !== 0) throw new Error(output);
      return nothingLeft;
    },
    allowed: none,
  },
  {
    name: 'models restart embedding (rolling)',
    run: async stack => {
      await succeed(stack, 'models', 'restart', 'embedding');
      return nothingLeft;
    },
    allowed: none,
  },
  { name: 'kill -9 a vLLM server (parent)', run: killInGroup('SIGKILL', 'leader'), allowed: none },
  { name: 'kill -9 its EngineCore', run: killInGroup('SIGKILL', 'engine'), allowed: none },
  { name: 'kill -STOP a vLLM server', run: killInGroup('SIGSTOP', 'leader'), allowed: none },
  {
    name: 'hang: /health 200, no answers',
    run: async stack => {
      const group = groupOf(stack, 'embedding');
      const url = `http://127.0.0.1:${stack.env.ER_MODELS_EMBEDDING_PORT}/__fault`;
      await fetch(url, { method: 'POST', body: JSON.stringify({ mode: 'hang' }) });
      return () => membersOf(group).length;
    },
    allowed: none,
  },
  {
    name: 'kill -9 a supervisor',
    run: async stack => {
      const group = groupOf(stack, 'embedding');
      process.kill(await supervisorOf(stack), 'SIGKILL');
      return () => membersOf(group).length;
    },
    allowed: none,
  },
  {
    name: 'kill -9 a vLLM server, and the next while it loads',
    run: async stack => {
      const first = groupOf(stack, 'embedding');
      process.kill(first, 'SIGKILL');
      // The deaths of the rows before count: each start waits longer.
      const second = await waitFor('the next one', () => nextGroup(stack, first), { timeoutMs: 120_000 });
      process.kill(second, 'SIGKILL');
      return () => membersOf(first).length + membersOf(second).length;
    },
    allowed: none,
  },
  {
    name: 'models stop embedding, models start',
    run: async stack => {
      const groups = ['embedding', 'embedding-1'].map(app => groupOf(stack, app));
      await succeed(stack, 'models', 'stop', 'embedding');
      const left = groups.flatMap(membersOf).length;
      await succeed(stack, 'models', 'start', 'embedding');
      return () => left;
    },
    // Nobody can answer until it is started again.
    allowed: { failed: 0, may503: true },
  },
  {
    name: 'kill -9 the PM2 daemon, npm start',
    run: killDaemon(async () => []),
    // Nobody listens until it is started again.
    allowed: { failed: Number.POSITIVE_INFINITY, may503: true },
  },
  {
    name: 'kill -9 the PM2 daemon and a supervisor, npm start',
    run: killDaemon(async stack => [await supervisorOf(stack)]),
    allowed: { failed: Number.POSITIVE_INFINITY, may503: true },
  },
];
