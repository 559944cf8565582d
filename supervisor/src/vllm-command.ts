import { join } from 'node:path';
import { type Role, roles } from '@er-gateway/shared/config/schema';
import { ConfigError } from '@er-gateway/shared/errors/config-error';
import { type ModelCommandInputs, modelPort } from './command-inputs.ts';
import { processFiles } from './process-files.ts';
import { argumentsFor, type VllmVersion } from './vllm-version.ts';

/** Our reranker prompt, below the project's root. vLLM applies none by itself, and then ranks at random. */
export function rerankerTemplate(root: string): string {
  return join(root, 'supervisor', 'templates', 'qwen3_reranker.jinja');
}

/** How long vLLM may take to end its engine after SIGTERM, in seconds. */
const shutdownSeconds = { gpu: 20, cpu: 5 };
/** KV cache of Qwen3-0.6B in bfloat16: 28 layers x 8 heads x 128 x 2 (key, value) x 2 bytes. */
const kvBytesPerToken = 28 * 8 * 128 * 2 * 2;
/** vLLM's CPU attention wants blocks of a multiple of this; its default there is 128. */
const cpuBlockMultiple = 32;

/** Flags that would take a server away from under us, with what becomes of it. */
const refusedFlags: Record<string, string> = {
  '--port': 'nobody would find the server; set models.*.port',
  '--host': 'the server is asked on 127.0.0.1',
  '--uds': 'the server is asked on 127.0.0.1, not on a socket',
  '--disable-log-stats': 'without its counters a busy server looks like one that hangs',
};

/** Arguments of `vllm serve` for the installed release, `extra_args` last so that they win. Throws ConfigError. */
export function vllmArguments({ config, role, replica, device, version }: ModelCommandInputs): string[] {
  const isWhole = hangsInChunks(role, version);
  const model = isWhole ? inWholeSequences(config.models[role]) : config.models[role];
  refuseFlags(role, model.extra_args);
  const own: string[][] = [
    ['--served-model-name', model.served_name],
    ['--host', '127.0.0.1'],
    ['--port', String(modelPort(config, role, replica))],
    ['--dtype', model.dtype],
    ['--max-model-len', String(model.max_model_len)],
    ...roleArguments(role, config.root),
    ...(device === 'gpu' ? gpuArguments(role, model) : cpuArguments(model)),
    ...(isWhole ? [['--no-enable-chunked-prefill']] : []),
    ['--disable-access-log-for-endpoints', '/health,/metrics,/load'],
    ['--shutdown-timeout', String(shutdownSeconds[device])],
  ];
  return ['serve', model.path, ...argumentsFor(version, own), ...model.extra_args];
}

function refuseFlags(role: Role, args: readonly string[]): void {
  const problems = args.flatMap(arg => {
    const flag = arg.replace(/=.*/s, '').replaceAll('_', '-');
    const why = refusedFlags[flag];
    return why === undefined ? [] : [`models.${role}.extra_args: ${flag} cannot be given: ${why}`];
  });
  if (problems.length > 0) throw new ConfigError(problems);
}

/** vLLM 0.10.2 hangs with Qwen3-Embedding and chunked prefill (vllm-project/vllm #47971). */
function hangsInChunks(role: Role, version: VllmVersion | null): boolean {
  return role === 'embedding' && version?.join('.') === '0.10.2';
}

/** Without chunks a step must hold the longest sequence, or vLLM refuses to start. */
const inWholeSequences = <Model extends ModelShape>(model: Model): Model => ({
  ...model,
  max_num_batched_tokens: Math.max(model.max_num_batched_tokens ?? 0, model.max_model_len),
});

function roleArguments(role: Role, root: string): string[][] {
  if (role === 'embedding') {
    // Without is_matryoshka vLLM refuses `dimensions`.
    const overrides = ['--hf-overrides', JSON.stringify({ is_matryoshka: true })];
    return [['--runner', 'pooling'], ['--convert', 'embed'], overrides];
  }
  const overrides = {
    architectures: ['Qwen3ForSequenceClassification'],
    classifier_from_token: ['no', 'yes'],
    is_original_qwen3_reranker: true,
  };
  return [
    ['--runner', 'pooling'],
    ['--hf-overrides', JSON.stringify(overrides)],
    ['--chat-template', rerankerTemplate(root)],
  ];
}

type ModelShape = ModelCommandInputs['config']['models']['embedding'];

function gpuArguments(role: Role, model: ModelShape): string[][] {
  const share = gpuMemoryShare(model);
  const { kv_cache_memory_bytes: cacheBytes } = model;
  return [
    ['--gpu-memory-utilization', String(share)],
    ...(cacheBytes === null ? [] : [['--kv-cache-memory-bytes', String(cacheBytes)]]),
    ['--block-size', String(model.block_size)],
    ...batching(model, role === 'embedding' ? manyShortTexts : { tokens: null, sequences: null }),
  ];
}

function cpuArguments(model: ModelShape): string[][] {
  const fits = model.block_size % cpuBlockMultiple === 0;
  return [
    ['--enforce-eager'],
    ...(fits ? [['--block-size', String(model.block_size)]] : []),
    ...batching(model, { tokens: null, sequences: null }),
  ];
}

/** Starting points for many short texts a step. */
const manyShortTexts = { tokens: 32768, sequences: 512 };

function batching(
  model: ModelShape,
  fallback: { tokens: number | null; sequences: number | null },
): string[][] {
  const tokens = model.max_num_batched_tokens ?? fallback.tokens;
  const sequences = model.max_num_seqs ?? fallback.sequences;
  return [
    ...(tokens === null ? [] : [['--max-num-batched-tokens', String(tokens)]]),
    ...(sequences === null ? [] : [['--max-num-seqs', String(sequences)]]),
  ];
}

/** One replica's even share of the GPU's memory, rounded down so that they all together stay within the whole. */
export function gpuMemoryShare({ gpu_memory_utilization: share, replicas }: ModelShape): number {
  return replicas === 1 ? share : Math.floor((share / replicas) * 1e4) / 1e4;
}

/** Variables that vLLM needs beside its arguments. Those that only tune the CPU or the hub yield to the user's own. */
export function vllmEnvironment(inputs: ModelCommandInputs): NodeJS.ProcessEnv {
  const { config, role, replica, device, environment } = inputs;
  const { sockets } = processFiles(config, role, replica);
  const ofUser = (name: string, fallback: string) => ({ [name]: environment[name] ?? fallback });
  return {
    // Longer than any idle time of the scheduler's connections; vLLM's 5 s would reset them under our hands.
    VLLM_HTTP_TIMEOUT_KEEP_ALIVE: '75',
    // A vLLM that is killed leaves its sockets, by default in the system's folder for temporary files.
    ...(isShortEnough(sockets) && ofUser('VLLM_RPC_BASE_PATH', sockets)),
    ...ofUser('HF_HUB_OFFLINE', '1'),
    ...ofUser('VLLM_NO_USAGE_STATS', '1'),
    ...ofUser('DO_NOT_TRACK', '1'),
    ...(device === 'gpu'
      ? { CUDA_DEVICE_ORDER: 'PCI_BUS_ID', CUDA_VISIBLE_DEVICES: String(config.models[role].gpu) }
      : {
          ...ofUser('VLLM_CPU_KVCACHE_SPACE', String(kvCacheGibibytes(config.models[role].max_model_len))),
          ...ofUser('VLLM_CPU_OMP_THREADS_BIND', 'nobind'),
          ...ofUser('OMP_NUM_THREADS', String(threadsPerServer(inputs))),
        }),
  };
}

/** Whether vLLM's sockets can have their names there, a UUID each: a unix socket's path has 107 bytes at most. */
const isShortEnough = (folder: string) => Buffer.byteLength(folder) + 1 + 36 <= 107;

/** Room for one sequence of the longest length: with less, vLLM refuses to start. */
function kvCacheGibibytes(maxModelLen: number): number {
  return Math.max(1, Math.ceil((maxModelLen * kvBytesPerToken) / 2 ** 30));
}

function threadsPerServer({ config, cores }: ModelCommandInputs): number {
  const models = roles.map(role => config.models[role]).filter(model => model.engine === 'vllm');
  const servers = models.reduce((sum, model) => sum + model.replicas, 0);
  return Math.max(1, Math.floor(cores / servers));
}
