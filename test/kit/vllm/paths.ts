import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../../..');

/** Folder of everything that install.ts makes; ignored by git, safe to delete. */
export const vllmCache = join(root, '.cache/vllm');

/** Where install.ts puts its parts. */
export const vllmPaths = {
  venv: join(vllmCache, 'venv'),
  python: join(vllmCache, 'venv/bin/python'),
  /** The program for `vllm.command`. */
  command: join(vllmCache, 'venv/bin/vllm'),
  tokenizer: join(vllmCache, 'tokenizer'),
  /** Checkpoints for `models.*.path`: random weights, real tokenizers. Scores mean nothing, equalities do. */
  models: {
    embedding: join(vllmCache, 'models/embedding'),
    reranker: join(vllmCache, 'models/reranker'),
  },
  /** Names what is installed; written last. */
  stamp: join(vllmCache, 'stamp'),
};

/** Longest input of the test servers in tokens; longer costs start-up memory and time. */
export const vllmMaxModelLen = 2048;

/** Variables that vLLM's CPU build needs to start on a small machine, offline. */
export const vllmEnvironment: Record<string, string> = {
  /** GiB; the default takes half of the memory. */
  VLLM_CPU_KVCACHE_SPACE: '1',
  VLLM_CPU_OMP_THREADS_BIND: 'nobind',
  OMP_NUM_THREADS: '1',
  HF_HUB_OFFLINE: '1',
  VLLM_NO_USAGE_STATS: '1',
  DO_NOT_TRACK: '1',
  VLLM_HTTP_TIMEOUT_KEEP_ALIVE: '75',
};

/** Arguments that fit the tiny models on a CPU, beyond what every server of ours gets. */
export const vllmCpuArguments = ['--enforce-eager'];
