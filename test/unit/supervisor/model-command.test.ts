import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type EffectiveConfig, resolveConfig } from '@er-gateway/shared/config/effective-config';
import { modelCommand } from '../../../supervisor/src/model-command.ts';
import { shownCommand } from '../../../supervisor/src/shown-command.ts';

/** A configuration for vLLM whose model folders need not exist here. */
function configOf(environment: Record<string, string> = {}): EffectiveConfig {
  const here = { ER_MODELS_EMBEDDING_PATH: '/', ER_MODELS_RERANKER_PATH: '/' };
  return resolveConfig('/srv/er', { ER_ENGINE: 'vllm', ER_RUN_DIR: '/tmp/er', ...here, ...environment });
}

const inputs = {
  config: configOf(),
  role: 'embedding',
  replica: 0,
  environment: { PATH: '/usr/bin' },
  program: '/opt/vllm/bin/vllm',
  enginePath: '/srv/er/dist/engine/main.cjs',
  device: 'gpu',
  version: null,
  cores: 8,
} as const;

/** The value after a flag; undefined when the flag is not there. */
const flagValue = (args: string[], flag: string) =>
  args.includes(flag) ? args[args.indexOf(flag) + 1] : undefined;

describe('modelCommand() for vLLM on a GPU', () => {
  it('runs the embedding model with the flags and variables that were checked on vLLM 0.32', () => {
    const { command, args, env } = modelCommand(inputs);
    assert.equal(command, '/opt/vllm/bin/vllm');
    assert.equal(
      args.join(' '),
      'serve / --served-model-name Qwen3-Embedding-0.6B --host 127.0.0.1 --port 8000 --dtype bfloat16 ' +
        '--max-model-len 32768 --runner pooling --convert embed --hf-overrides {"is_matryoshka":true} ' +
        '--gpu-memory-utilization 0.9 --block-size 16 --max-num-batched-tokens 32768 --max-num-seqs 512 ' +
        '--disable-access-log-for-endpoints /health,/metrics,/load --shutdown-timeout 20',
    );
    assert.deepEqual(env, {
      PATH: '/usr/bin',
      CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
      CUDA_VISIBLE_DEVICES: '1',
      VLLM_HTTP_TIMEOUT_KEEP_ALIVE: '75',
      VLLM_RPC_BASE_PATH: '/tmp/er/embedding.sockets',
      HF_HUB_OFFLINE: '1',
      VLLM_NO_USAGE_STATS: '1',
      DO_NOT_TRACK: '1',
    });
  });

  it('runs the reranker with its three overrides and our template', () => {
    const { args, env } = modelCommand({ ...inputs, role: 'reranker' });
    assert.equal(
      args.join(' '),
      'serve / --served-model-name Qwen3-Reranker-0.6B --host 127.0.0.1 --port 8001 --dtype bfloat16 ' +
        '--max-model-len 32768 --runner pooling --hf-overrides ' +
        '{"architectures":["Qwen3ForSequenceClassification"],"classifier_from_token":["no","yes"],"is_original_qwen3_reranker":true} ' +
        '--chat-template /srv/er/supervisor/templates/qwen3_reranker.jinja ' +
        '--gpu-memory-utilization 0.97 --block-size 16 ' +
        '--disable-access-log-for-endpoints /health,/metrics,/load --shutdown-timeout 20',
    );
    assert.equal(env.CUDA_VISIBLE_DEVICES, '0');
  });

  for (const [replicas, share] of [
    ['1', '0.9'],
    ['2', '0.45'],
    ['7', '0.1285'],
  ] as const) {
    it(`gives each of ${replicas} replicas ${share} of the memory and a port of its own`, () => {
      const config = configOf({ ER_MODELS_EMBEDDING_REPLICAS: replicas, ER_MODELS_RERANKER_PORT: '9000' });
      const replica = Number(replicas) - 1;
      const { args } = modelCommand({ ...inputs, config, replica });
      assert.equal(flagValue(args, '--gpu-memory-utilization'), share);
      assert.equal(flagValue(args, '--port'), String(8000 + 10 * replica));
      assert.ok(config.models.embedding.upstreams.includes(`http://127.0.0.1:${8000 + 10 * replica}`));
    });
  }

  it('passes on what the configuration says of its batches, its KV cache and its numbers', () => {
    const config = configOf({
      ER_MODELS_EMBEDDING_MAX_NUM_SEQS: '64',
      ER_MODELS_EMBEDDING_MAX_NUM_BATCHED_TOKENS: '4096',
      ER_MODELS_EMBEDDING_KV_CACHE_MEMORY_BYTES: '1073741824',
      ER_MODELS_EMBEDDING_DTYPE: 'float16',
      ER_MODELS_EMBEDDING_BLOCK_SIZE: '32',
    });
    const { args } = modelCommand({ ...inputs, config });
    const flags = [
      '--max-num-seqs',
      '--max-num-batched-tokens',
      '--kv-cache-memory-bytes',
      '--dtype',
      '--block-size',
    ];
    assert.deepEqual(
      flags.map(flag => flagValue(args, flag)),
      ['64', '4096', '1073741824', 'float16', '32'],
    );
  });

  it('refuses in extra_args what would take the server away from the supervisor, by the name of the flag', () => {
    for (const given of ['--port', '--port=9', '--host', '--uds', '--disable_log_stats']) {
      const config = configOf({ ER_MODELS_EMBEDDING_EXTRA_ARGS: JSON.stringify([given, '1']) });
      const flag = given.replace('=9', '').replaceAll('_', '-');
      const message = new RegExp(`^models\\.embedding\\.extra_args: ${flag} cannot be given: `);
      assert.throws(() => modelCommand({ ...inputs, config }), { name: 'ConfigError', message });
    }
  });

  it('turns chunked prefill off where the embedding model hangs with it: in 0.10.2 alone', () => {
    const config = configOf({ ER_MODELS_EMBEDDING_MAX_NUM_BATCHED_TOKENS: '512' });
    const { args } = modelCommand({ ...inputs, config, version: [0, 10, 2] });
    assert.ok(args.includes('--no-enable-chunked-prefill'));
    assert.equal(flagValue(args, '--max-num-batched-tokens'), '32768', 'a step holds the longest sequence');
    const { args: onCpu } = modelCommand({ ...inputs, version: [0, 10, 2], device: 'cpu' });
    assert.equal(flagValue(onCpu, '--max-num-batched-tokens'), '32768');
    for (const other of [
      { ...inputs, config, version: [0, 10, 1] as const },
      { ...inputs, config, version: [0, 11, 0] as const },
      { ...inputs, role: 'reranker' as const, version: [0, 10, 2] as const },
    ])
      assert.ok(!modelCommand(other).args.includes('--no-enable-chunked-prefill'));
  });

  it('puts extra_args last, so that they win', () => {
    const config = configOf({ ER_MODELS_EMBEDDING_EXTRA_ARGS: '["--max-num-seqs","64"]' });
    assert.deepEqual(modelCommand({ ...inputs, config }).args.slice(-2), ['--max-num-seqs', '64']);
  });
});

describe('modelCommand() for vLLM on the CPU', () => {
  const cpu = { ...inputs, device: 'cpu' } as const;

  it('leaves out what only a GPU has, and makes room for one longest sequence', () => {
    const { args, env } = modelCommand(cpu);
    for (const flag of [
      '--gpu-memory-utilization',
      '--block-size',
      '--max-num-batched-tokens',
      '--max-num-seqs',
    ]) {
      assert.ok(!args.includes(flag), flag);
    }
    assert.ok(args.includes('--enforce-eager'));
    assert.equal(flagValue(args, '--shutdown-timeout'), '5');
    assert.deepEqual(env, {
      PATH: '/usr/bin',
      VLLM_HTTP_TIMEOUT_KEEP_ALIVE: '75',
      VLLM_RPC_BASE_PATH: '/tmp/er/embedding.sockets',
      HF_HUB_OFFLINE: '1',
      VLLM_NO_USAGE_STATS: '1',
      DO_NOT_TRACK: '1',
      // 32768 tokens x 112 KiB.
      VLLM_CPU_KVCACHE_SPACE: '4',
      VLLM_CPU_OMP_THREADS_BIND: 'nobind',
      // 8 cores for two servers.
      OMP_NUM_THREADS: '4',
    });
  });

  for (const [blockSize, passed] of [
    ['16', undefined],
    ['64', '64'],
    ['100', undefined],
  ] as const) {
    it(`passes block_size ${blockSize} on as ${passed}`, () => {
      const config = configOf({ ER_MODELS_EMBEDDING_BLOCK_SIZE: blockSize });
      assert.equal(flagValue(modelCommand({ ...cpu, config }).args, '--block-size'), passed);
    });
  }

  it('leaves the sockets of vLLM where it puts them when their names would be too long in the run folder', () => {
    const pathFor = (length: number) => {
      const config = configOf({ ER_RUN_DIR: `/${'r'.repeat(length - 1)}` });
      return modelCommand({ ...inputs, config }).env.VLLM_RPC_BASE_PATH;
    };
    assert.equal(pathFor(52), `/${'r'.repeat(51)}/embedding.sockets`);
    assert.equal(pathFor(53), undefined);
  });

  it("leaves the user's own tuning alone, and has at least one thread and one GiB", () => {
    const own = { VLLM_CPU_KVCACHE_SPACE: '9', OMP_NUM_THREADS: '3', HF_HUB_OFFLINE: '0' };
    const { env } = modelCommand({ ...cpu, environment: own });
    assert.deepEqual({ ...env, ...own }, env);

    const config = configOf({ ER_MODELS_EMBEDDING_MAX_MODEL_LEN: '2048' });
    const small = modelCommand({ ...cpu, config, cores: 1 }).env;
    assert.equal(small.VLLM_CPU_KVCACHE_SPACE, '1');
    assert.equal(small.OMP_NUM_THREADS, '1');
  });
});

describe('modelCommand() for the built-in engine', () => {
  it('runs our own entry file with role, port and name', () => {
    const config = configOf({ ER_ENGINE: 'builtin' });
    const { command, args, env } = modelCommand({ ...inputs, config, program: '/usr/bin/node' });
    assert.equal(command, '/usr/bin/node');
    assert.equal(
      args.join(' '),
      '/srv/er/dist/engine/main.cjs --role embedding --port 8000 --served-name Qwen3-Embedding-0.6B',
    );
    assert.deepEqual(env, { PATH: '/usr/bin' });
  });
});

describe("the model server's environment", () => {
  const cases: [name: string, isPassed: boolean][] = [
    ['PATH', true],
    ['LD_LIBRARY_PATH', true],
    ['ER_EFFECTIVE_CONFIG', true],
    ['VLLM_HTTP_TIMEOUT_KEEP_ALIVE', true],
    ['HF_TOKEN', true],
    ['HF_HOME', true],
    ['CUDA_CACHE_PATH', true],
    ['TOKENIZERS_PARALLELISM', true],
    ['NODE_CHANNEL_FD', false],
    ['NODE_UNIQUE_ID', false],
    ['REDIS_URL', false],
    ['ER_REDIS_URL', false],
    ['OPENAI_API_KEY', false],
    ['VLLM_API_KEY', false],
    ['GITHUB_TOKEN', false],
    ['aws_secret_access_key', false],
    ['DB_PASSWORD', false],
  ];
  for (const [name, isPassed] of cases) {
    it(`${isPassed ? 'holds' : 'does not hold'} ${name}`, () => {
      const config = configOf({ ER_ENGINE: 'builtin' });
      const { env } = modelCommand({ ...inputs, config, environment: { [name]: '1' } });
      assert.equal(name in env, isPassed);
    });
  }
});

describe('shownCommand()', () => {
  const cases: [args: string[], shown: string][] = [
    [['serve', '/m', '--max-num-batched-tokens', '8'], 'vllm serve /m --max-num-batched-tokens 8'],
    [['--hf-overrides', '{"a":1}'], `vllm --hf-overrides '{"a":1}'`],
    [['--api-key', 'sk-1', '--seed', '0'], 'vllm --api-key *** --seed 0'],
    [['--api_key=sk-1', 'x'], 'vllm --api_key=*** x'],
    [['--hf-token', 'hf_1'], 'vllm --hf-token ***'],
  ];
  for (const [args, shown] of cases) {
    it(`shows ${shown}`, () => {
      assert.equal(shownCommand({ command: 'vllm', args, env: {} }), shown);
    });
  }
});
