import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { processStatus } from '../../../apps/cli/src/control-sockets.ts';
import { type Stack, startStack } from '../../kit/stack.ts';
import { stackProcesses } from '../../kit/stack-processes.ts';
import { vllmMaxModelLen, vllmPaths } from '../../kit/vllm/paths.ts';
import { waitFor } from '../../kit/wait-for.ts';
import type { Bench } from '../bench.ts';
import { cpuSecondsOf } from '../measure/process-table.ts';

/** What a scheduler says of one model (`inspect()` of apps/scheduler/src/scheduler.ts), as far as we read it. */
export interface LaneStatus {
  tokenizes: string;
  slots: number;
  calls: number;
  items: number;
  waitingItems: number;
}

export interface SchedulerStatus {
  inFlight: number;
  models: Record<'embedding' | 'reranker', { upstreams: { latencyMs: number }[] }>;
  lanes: Record<'embedding' | 'reranker', LaneStatus>;
}

/** CPU seconds of a stack's parts so far. */
export interface StackCpu {
  gateway: number;
  scheduler: number;
  /** State, monitor and PM2's daemon. */
  others: number;
}

/** The whole gateway under PM2, in front of model servers that run already. */
export interface BenchStack extends Stack {
  headers: Record<string, string>;
  pids: () => number[];
  cpu: () => StackCpu;
  scheduler: () => Promise<SchedulerStatus>;
  /** Waits until nothing is under way. */
  settled: () => Promise<void>;
}

/**
 * Settings without limits in the way, without a cache, and with the tokenizer of the test checkpoints: the scheduler tokenizes
 * as it does in production. Without one it would hand on texts, one job a call. Throws when they are not installed.
 */
export function benchSettings(urls: { embedding: string; reranker: string }): Record<string, string> {
  const { embedding, reranker } = vllmPaths.models;
  if (!existsSync(vllmPaths.stamp))
    throw new Error(
      'the bench needs the tokenizer of the test checkpoints: run node test/kit/vllm/install.ts',
    );
  return {
    ER_ENGINE: 'external',
    ER_MODELS_EMBEDDING_URLS: urls.embedding,
    ER_MODELS_RERANKER_URLS: urls.reranker,
    ER_MODELS_EMBEDDING_PATH: embedding,
    ER_MODELS_RERANKER_PATH: reranker,
    ER_MODELS_EMBEDDING_MAX_MODEL_LEN: String(vllmMaxModelLen),
    ER_MODELS_RERANKER_MAX_MODEL_LEN: String(vllmMaxModelLen),
    ER_LIMITS_REQUESTS_PER_MINUTE: '1000000000',
    ER_CACHE_MAX_BYTES: '0',
  };
}

export interface BenchStackOptions {
  workers?: number;
  /** Model servers; one that is not named is a fast one. */
  embedding?: string;
  reranker?: string;
  env?: Record<string, string>;
}

/** Starts a stack as `npm start` does, and waits until both models answer. */
export async function startBenchStack(
  bench: Bench,
  { workers = 2, embedding, reranker, env = {} }: BenchStackOptions,
): Promise<BenchStack> {
  const urls = {
    embedding: embedding ?? (await bench.fast('embedding')).url,
    reranker: reranker ?? (await bench.fast('reranker')).url,
  };
  bench.log(`starting the gateway with ${workers} worker${workers === 1 ? '' : 's'}`);
  const stack = await startStack({ workers, env: { ...benchSettings(urls), ...env } });
  const processes = stackProcesses(stack.pm2Home);
  const pidsOf = (app: string) =>
    processes.filter(({ command }) => command.includes(`dist/${app}/`)).map(({ pid }) => pid);
  const [gateway, scheduler] = [pidsOf('gateway'), pidsOf('scheduler')];
  const others = processes.map(({ pid }) => pid).filter(pid => ![...gateway, ...scheduler].includes(pid));
  const schedulerStatus = async () => {
    const status = await processStatus<SchedulerStatus>(stack.runDir, 'scheduler');
    if (!status) throw new Error('the scheduler does not tell its status');
    return status;
  };
  return {
    ...stack,
    headers: { authorization: `Bearer ${stack.key}` },
    pids: () => processes.map(({ pid }) => pid),
    cpu: () => ({
      gateway: cpuSecondsOf(gateway),
      scheduler: cpuSecondsOf(scheduler),
      others: cpuSecondsOf(others),
    }),
    scheduler: schedulerStatus,
    settled: async () => {
      await waitFor('the end of what is under way', async () => (await schedulerStatus()).inFlight === 0, {
        timeoutMs: 60_000,
      });
    },
  };
}

/** Adds a key to a stack's key file, and waits until it works. */
export async function addKey(stack: Stack, key: string): Promise<void> {
  const file = JSON.parse(readFileSync(stack.keysFile, 'utf8')) as { keys: unknown[] };
  writeFileSync(
    stack.keysFile,
    JSON.stringify({ ...file, keys: [...file.keys, { key, name: key.slice(0, 8) }] }),
  );
  await waitFor('the new key to work', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () =>
        fetch(`${stack.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } }),
      ),
    );
    return answers.every(({ ok }) => ok);
  });
}
