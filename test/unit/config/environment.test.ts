import assert from 'node:assert/strict';
import { test } from 'node:test';
import { settingLeaves, settingsFromEnvironment } from '@er-gateway/shared/config/environment';
import { configSchema } from '@er-gateway/shared/config/schema';

const valueAt = (tree: unknown, path: readonly string[]) =>
  path.reduce<unknown>((node, name) => (node as Record<string, unknown> | undefined)?.[name], tree);

/** A text that a setting takes and that is not its default, and the value that it stands for. */
const samples: Record<string, [text: string, value: unknown]> = {
  ER_ENGINE: ['builtin', 'builtin'],
  ER_GATEWAY_HOST: ['127.0.0.1', '127.0.0.1'],
  ER_GATEWAY_PORT: ['3001', 3001],
  ER_GATEWAY_WORKERS: ['3', 3],
  ER_GATEWAY_TIMEOUT_SECONDS: ['1.5', 1.5],
  ER_GATEWAY_MAX_BODY_BYTES: ['2000', 2000],
  ER_GATEWAY_HEADER_TIMEOUT_SECONDS: ['2.5', 2.5],
  ER_GATEWAY_BODY_TIMEOUT_SECONDS: ['3.5', 3.5],
  ER_GATEWAY_SEND_TIMEOUT_SECONDS: ['4.5', 4.5],
  ER_GATEWAY_KEEP_ALIVE_SECONDS: ['5.5', 5.5],
  ER_GATEWAY_MAX_CONCURRENT_STREAMS: ['64', 64],
  ER_GATEWAY_TRUSTED_PROXIES: ['10.0.0.1,fd00::/8', ['10.0.0.1', 'fd00::/8']],
  ER_GATEWAY_CORS_ORIGINS: ['https://app.example', ['https://app.example']],
  ER_GATEWAY_TLS_HSTS_SECONDS: ['300', 300],
  ER_GATEWAY_TLS_CERT: ['c.pem', 'c.pem'],
  ER_GATEWAY_TLS_KEY: ['k.pem', 'k.pem'],
  ER_LIMITS_REQUESTS_PER_MINUTE: ['7', 7],
  ER_LIMITS_INPUTS_PER_MINUTE: ['70', 70],
  ER_LIMITS_TOKENS_PER_MINUTE: ['700', 700],
  ER_LIMITS_CONCURRENCY: ['8', 8],
  ER_LIMITS_INPUTS_PER_REQUEST: ['9', 9],
  ER_REDIS_URL: ['rediss://redis:6379/1', 'rediss://redis:6379/1'],
  ER_KEYS_FILE: ['k.json', 'k.json'],
  ER_LOGS_DIR: ['l', 'l'],
  ER_LOGS_LEVEL: ['debug', 'debug'],
  ER_LOGS_MODEL_MAX_BYTES: ['8192', 8192],
  ER_LOGS_MODEL_FILES: ['3', 3],
  ER_AUDIT_MAX_FILE_BYTES: ['8192', 8192],
  ER_AUDIT_RETENTION_DAYS: ['7', 7],
  ER_AUDIT_MAX_TOTAL_BYTES: ['70000', 70000],
  ER_RUN_DIR: ['r', 'r'],
  ER_VLLM_COMMAND: ['/opt/vllm', '/opt/vllm'],
  ER_VLLM_DEVICE: ['cpu', 'cpu'],
  ER_CACHE_MAX_BYTES: ['0', 0],
  ER_CACHE_SCOPE: ['shared', 'shared'],
  ER_BATCH_MAX_ITEMS: ['32', 32],
  ER_BATCH_MAX_TOKENS: ['4096', 4096],
  ER_BATCH_SLOTS: ['3', 3],
  ER_BATCH_WINDOW_MS: ['7.5', 7.5],
  ER_FEEDBACK_MAX_BYTES: ['0', 0],
  ER_FEEDBACK_KEEP_SECONDS: ['60', 60],
  ER_TRACING_URL: ['http://collector:4318/v1/traces', 'http://collector:4318/v1/traces'],
  ER_TRACING_SAMPLE_RATIO: ['0.1', 0.1],
  ER_MONITOR_PORT: ['3002', 3002],
  ...Object.fromEntries(
    ['EMBEDDING', 'RERANKER'].flatMap(role => [
      [`ER_MODELS_${role}_PATH`, ['/m', '/m']],
      [`ER_MODELS_${role}_SERVED_NAME`, ['m', 'm']],
      [`ER_MODELS_${role}_PORT`, ['3003', 3003]],
      [`ER_MODELS_${role}_GPU`, ['7', 7]],
      [`ER_MODELS_${role}_GPU_MEMORY_UTILIZATION`, ['0.5', 0.5]],
      [`ER_MODELS_${role}_REPLICAS`, ['2', 2]],
      [`ER_MODELS_${role}_MAX_MODEL_LEN`, ['512', 512]],
      [`ER_MODELS_${role}_BLOCK_SIZE`, ['32', 32]],
      [`ER_MODELS_${role}_DTYPE`, ['float16', 'float16']],
      [`ER_MODELS_${role}_MAX_NUM_SEQS`, ['64', 64]],
      [`ER_MODELS_${role}_NICENESS`, ['0', 0]],
      [`ER_MODELS_${role}_MAX_NUM_BATCHED_TOKENS`, ['4096', 4096]],
      [`ER_MODELS_${role}_KV_CACHE_MEMORY_BYTES`, ['1073741824', 1073741824]],
      [`ER_MODELS_${role}_EXTRA_ARGS`, ['--a', ['--a']]],
      [`ER_MODELS_${role}_URLS`, ['http://a', ['http://a']]],
    ]),
  ),
};

test('there is a sample for each setting, and each sample is one', () => {
  assert.deepEqual(
    Object.keys(samples).toSorted(),
    settingLeaves()
      .map(leaf => leaf.variable)
      .toSorted(),
  );
});

for (const { path, variable } of settingLeaves()) {
  test(`${variable} sets ${path.join('.')} and nothing else`, () => {
    const [text, value] = samples[variable] ?? ['', undefined];
    const { settings, problems } = settingsFromEnvironment({ [variable]: text });
    assert.deepEqual(problems, []);
    const parsed = configSchema.parse(settings);
    const defaults = configSchema.parse({});
    assert.deepEqual(valueAt(parsed, path), value);
    assert.notDeepEqual(valueAt(defaults, path), value, 'a sample that is the default proves nothing');
    for (const other of settingLeaves().filter(leaf => leaf.variable !== variable)) {
      assert.deepEqual(valueAt(parsed, other.path), valueAt(defaults, other.path), other.variable);
    }
  });
}

test('lists are JSON or separated by commas; empty means none', () => {
  const listOf = (text: string) =>
    valueAt(settingsFromEnvironment({ ER_MODELS_EMBEDDING_EXTRA_ARGS: text }).settings, [
      'models',
      'embedding',
      'extra_args',
    ]);
  assert.deepEqual(listOf('--a, --b=1'), ['--a', '--b=1']);
  assert.deepEqual(listOf('["--a", "x,y"]'), ['--a', 'x,y']);
  assert.deepEqual(listOf(' '), []);
  assert.equal(listOf('["--a"'), '["--a"', 'left for the schema to refuse');
});

test('an empty value or null means null', () => {
  for (const text of ['', 'null']) {
    const { settings } = settingsFromEnvironment({ ER_RUN_DIR: text });
    assert.deepEqual(settings, { run_dir: null });
  }
});

test('text that is no number is left for the schema to refuse', () => {
  for (const text of ['many', ' ', '1e999', '10 ms']) {
    const { settings } = settingsFromEnvironment({ ER_GATEWAY_PORT: text });
    assert.equal(configSchema.safeParse(settings).success, false, text);
  }
});

test('REDIS_URL is accepted, and ER_REDIS_URL wins over it', () => {
  const urlOf = (environment: NodeJS.ProcessEnv) =>
    valueAt(settingsFromEnvironment(environment).settings, ['redis', 'url']);
  assert.equal(urlOf({ REDIS_URL: 'redis://a' }), 'redis://a');
  assert.equal(urlOf({ REDIS_URL: 'redis://a', ER_REDIS_URL: 'redis://b' }), 'redis://b');
  assert.equal(urlOf({ ER_REDIS_URL: 'redis://b', REDIS_URL: 'redis://a' }), 'redis://b');
});

test('an unknown name is a problem; names of others, of the tests and of the starter are not', () => {
  const { settings, problems } = settingsFromEnvironment({
    ER_GATEWAY_PROT: '1',
    ER_TEST_VLLM: '1',
    ER_CONFIG: 'x',
    ER_EFFECTIVE_CONFIG: 'y',
    ERA: '1',
    PATH: '/bin',
  });
  assert.deepEqual(settings, {});
  assert.equal(problems.length, 1);
  assert.match(problems[0] ?? '', /^ER_GATEWAY_PROT: no such setting/);
});
