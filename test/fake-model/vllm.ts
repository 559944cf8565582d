import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { defaultOptions, type FakeModelOptions } from './options.ts';
import { runFakeModel } from './process.ts';

/**
 * The command line of `vllm`, as far as servers of ours use it: `vllm serve MODEL …` runs the fake model server. What it
 * does wrong is set in the environment:
 * - FAKE_VLLM_BOOT_MS: time to load (200)
 * - FAKE_VLLM_FAIL_FILE: a file that holds how many of the next starts fail for want of GPU memory; counted down
 * - FAKE_VLLM_CRASH_AFTER_MS: its engine dies so long after the start, so it exits with 0, as vLLM does
 * - FAKE_VLLM_CRASH_CODE: it exits with this code then, instead
 * - FAKE_VLLM_IGNORE_SIGTERM=1: only SIGKILL ends it
 * - FAKE_VLLM_SHUTDOWN_MS: time from SIGTERM to the exit (400)
 * - FAKE_VLLM_OVERHEAD_MS, FAKE_VLLM_PER_INPUT_MS, FAKE_VLLM_PER_TOKEN_US, FAKE_VLLM_STEP_MS: what calls cost
 */

/** Flags that take a value. One that is missing here is refused with exit code 2, so that a typo shows. */
const valueFlags = [
  'runner',
  'convert',
  'served-model-name',
  'host',
  'port',
  'uds',
  'dtype',
  'max-model-len',
  'gpu-memory-utilization',
  'kv-cache-memory-bytes',
  'block-size',
  'hf-overrides',
  'chat-template',
  'max-num-batched-tokens',
  'max-num-seqs',
  'max-num-active-seqs',
  'max-num-queued-reqs',
  'max-num-queued-tokens',
  'disable-access-log-for-endpoints',
  'shutdown-timeout',
  'api-server-count',
  'data-parallel-size',
  'tensor-parallel-size',
  'renderer-num-workers',
  'pooler-config',
  'performance-mode',
  'tokenizer',
  'tokenizer-mode',
  'revision',
  'download-dir',
  'load-format',
  'quantization',
  'seed',
  'uvicorn-log-level',
  'max-log-len',
  'api-key',
  'compilation-config',
  'attention-backend',
  'config',
];
const switches = [
  'enforce-eager',
  'enable-prefix-caching',
  'no-enable-prefix-caching',
  'enable-chunked-prefill',
  'no-enable-chunked-prefill',
  'enable-log-requests',
  'disable-uvicorn-access-log',
  'disable-log-stats',
  'disable-fastapi-docs',
  'enable-request-id-headers',
  'enable-server-load-tracking',
  'trust-remote-code',
];

const environment = process.env;
const numberFrom = (name: string, fallback: number) => Number(environment[name] ?? fallback);

await runVllm(process.argv.slice(2));

async function runVllm(argv: string[]): Promise<void> {
  const [command, ...rest] = argv;
  if (command === '--version') return console.log('0.32.0');
  if (command !== 'serve' || rest.some(argument => argument.startsWith('--help'))) {
    console.log('usage: vllm [-h] [-v] {serve,…}\n(a fake for tests: test/fake-model/vllm.ts)');
    for (const flag of [...valueFlags, ...switches]) console.log(`  --${flag}`);
    return;
  }
  const options = readArguments(rest);
  failAsOrdered();
  crashAsOrdered(options);
  await runFakeModel(options);
}

function readArguments(argv: string[]): FakeModelOptions {
  // `_` and `-` are the same to vLLM.
  const args = argv.map(argument =>
    argument.startsWith('--') ? argument.replace(/^[^=]+/, name => name.replaceAll('_', '-')) : argument,
  );
  if (args.some(argument => argument.startsWith('--task'))) {
    exit(
      2,
      'Hint: --task is not a vllm serve option. For embedding, reranking, or reward models, use --runner pooling.',
    );
  }
  const { values, positionals } = parseOrExit(args);
  const text = (name: string) => (values as Record<string, unknown>)[name] as string | undefined;
  const model = positionals[0] ?? '';
  if (!existsSync(model)) {
    exit(
      1,
      `HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '${model}'.`,
    );
  }
  if (text('runner') !== 'pooling') exit(1, 'the fake serves --runner pooling only');
  const memory = Number(text('gpu-memory-utilization') ?? 0.92);
  if (!(memory > 0 && memory <= 1)) {
    exit(
      1,
      '1 validation error for CacheConfig\ngpu_memory_utilization\n  Input should be less than or equal to 1',
    );
  }
  const overrides = JSON.parse(text('hf-overrides') ?? '{}') as {
    architectures?: string[];
    is_matryoshka?: boolean;
  };
  const isReranker = overrides.architectures?.includes('Qwen3ForSequenceClassification') ?? false;
  if (isReranker && !text('chat-template')) {
    console.error('WARNING Serving an original Qwen3 reranker without a --chat-template.');
  }
  return {
    ...defaultOptions,
    role: isReranker ? 'reranker' : 'embedding',
    port: Number(text('port') ?? 8000),
    host: text('host') ?? '0.0.0.0',
    uds: text('uds') ?? null,
    servedName: text('served-model-name') ?? model,
    maxModelLen: Number(text('max-model-len') ?? 32768),
    matryoshka: overrides.is_matryoshka ?? false,
    chatTemplate: text('chat-template') ?? null,
    keepAliveMs: numberFrom('VLLM_HTTP_TIMEOUT_KEEP_ALIVE', 5) * 1000,
    bootMs: numberFrom('FAKE_VLLM_BOOT_MS', 200),
    shutdownMs: numberFrom('FAKE_VLLM_SHUTDOWN_MS', 400),
    ignoreSigterm: environment.FAKE_VLLM_IGNORE_SIGTERM === '1',
    engineProcess: true,
    overheadMs: numberFrom('FAKE_VLLM_OVERHEAD_MS', 0),
    perInputMs: numberFrom('FAKE_VLLM_PER_INPUT_MS', 0),
    stepMs: numberFrom('FAKE_VLLM_STEP_MS', 0),
    perTokenUs: numberFrom('FAKE_VLLM_PER_TOKEN_US', 0),
    maxNumSeqs: Number(text('max-num-seqs') ?? defaultOptions.maxNumSeqs),
    maxNumBatchedTokens: Number(text('max-num-batched-tokens') ?? defaultOptions.maxNumBatchedTokens),
    maxNumQueuedReqs: Number(text('max-num-queued-reqs') ?? 0),
  };
}

function parseOrExit(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: Object.fromEntries([
        ...valueFlags.map(name => [name, { type: 'string' as const }]),
        ...switches.map(name => [name, { type: 'boolean' as const }]),
      ]),
    });
  } catch (error) {
    // argparse's words for what it does not know.
    const flag = /'(--[^']+)'/.exec((error as Error).message)?.[1];
    return exit(
      2,
      `usage: vllm serve [model_tag] [options]\nvllm serve: error: unrecognized arguments: ${flag ?? (error as Error).message}`,
    );
  }
}

function failAsOrdered(): void {
  const file = environment.FAKE_VLLM_FAIL_FILE;
  if (!file || !existsSync(file)) return;
  const left = Number(readFileSync(file, 'utf8'));
  if (left < 1) return;
  writeFileSync(file, String(left - 1));
  exit(
    1,
    'ValueError: Free memory on device cuda:0 (59.32/79.15 GiB) on startup is less than desired GPU memory utilization ' +
      '(0.97, 76.77 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.',
  );
}

function crashAsOrdered(options: FakeModelOptions): void {
  const afterMs = environment.FAKE_VLLM_CRASH_AFTER_MS;
  if (afterMs === undefined) return;
  setTimeout(() => {
    const code = environment.FAKE_VLLM_CRASH_CODE;
    if (code !== undefined) exit(Number(code), 'RuntimeError: ordered by a test');
    void fetch(`http://127.0.0.1:${options.port}/__fault`, {
      method: 'POST',
      body: JSON.stringify({ mode: 'engine-dead' }),
    });
  }, Number(afterMs)).unref();
}

function exit(code: number, message: string): never {
  console.error(message);
  process.exit(code);
}
