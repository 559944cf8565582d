import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import {
  findProgram,
  loadConfig,
  resolveConfig,
  writeEffectiveConfig,
} from '@er-gateway/shared/config/effective-config';
import { ConfigError } from '@er-gateway/shared/errors/config-error';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'er-config-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const writeYaml = (text: string) => writeFileSync(join(root, 'er.config.yaml'), text);

/** The problems of a configuration that must be refused. */
function problemsOf(environment: NodeJS.ProcessEnv = {}): readonly string[] {
  try {
    resolveConfig(root, environment);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems;
  }
  assert.fail('the configuration was accepted');
}

/** A folder below the root with a program `vllm` in it. */
function installVllm(): string {
  const folder = join(root, 'bin');
  mkdirSync(folder);
  writeFileSync(join(folder, 'vllm'), '#!/bin/sh\n');
  chmodSync(join(folder, 'vllm'), 0o755);
  return folder;
}

describe('defaults', () => {
  test('without file and environment they are the ones that the user asked for', () => {
    const { gateway, limits, models, redis } = resolveConfig(root, {});
    assert.deepEqual(
      [
        gateway.port,
        gateway.workers,
        gateway.timeout_seconds,
        limits.requests_per_minute,
        limits.concurrency,
      ],
      [2048, 64, 600, 100, 500],
    );
    const { embedding, reranker } = models;
    assert.deepEqual([embedding.gpu, embedding.port, embedding.gpu_memory_utilization], [1, 8000, 0.9]);
    assert.deepEqual([reranker.gpu, reranker.port, reranker.gpu_memory_utilization], [0, 8001, 0.97]);
    assert.equal(embedding.path, '/mnt/workspace/model/Qwen/Qwen3-Embedding-0.6B');
    assert.equal(reranker.path, '/mnt/workspace/model/Qwen/Qwen3-Reranker-0.6B');
    assert.equal(redis.url, null);
  });

  test('paths are absolute, from the project folder on', () => {
    const { keys, logs } = resolveConfig(root, { ER_LOGS_DIR: 'elsewhere' });
    assert.equal(keys.file, join(root, 'er_api_keys.json'));
    assert.equal(logs.dir, join(root, 'elsewhere'));
  });

  test('nobody can change the configuration once it is made', () => {
    const config = resolveConfig(root, {});
    assert.throws(() => {
      (config.models.embedding.urls as string[]).push('http://elsewhere');
    }, TypeError);
  });
});

describe('precedence', () => {
  test('the file wins over the defaults, the environment over the file, setting by setting', () => {
    writeYaml('gateway: { port: 3000, workers: 3 }\nmodels: { reranker: { gpu: 5 } }\n');
    const { gateway, models } = resolveConfig(root, { ER_GATEWAY_PORT: '4000' });
    assert.deepEqual([gateway.port, gateway.workers, gateway.timeout_seconds], [4000, 3, 600]);
    assert.deepEqual([models.reranker.gpu, models.reranker.port, models.embedding.gpu], [5, 8001, 1]);
  });

  test('a list in the environment replaces the list in the file', () => {
    writeYaml('models: { embedding: { extra_args: [--one, --two] } }\n');
    const { models } = resolveConfig(root, { ER_MODELS_EMBEDDING_EXTRA_ARGS: '--three' });
    assert.deepEqual(models.embedding.extra_args, ['--three']);
  });

  test('ER_CONFIG names another file, from the project folder on', () => {
    writeYaml('gateway: { port: 3000 }\n');
    writeFileSync(join(root, 'other.yaml'), 'gateway: { port: 3001 }\n');
    assert.equal(resolveConfig(root, { ER_CONFIG: 'other.yaml' }).gateway.port, 3001);
  });

  test('a section left empty and a file of comments are as if they were not there', () => {
    writeYaml('gateway:\nlimits:\n');
    assert.equal(resolveConfig(root, {}).gateway.port, 2048);
    writeYaml('# nothing yet\n');
    assert.equal(resolveConfig(root, {}).limits.concurrency, 500);
  });
});

describe('mistakes', () => {
  test('three mistakes, in the file and in the environment, are all reported at once', () => {
    writeYaml('gateway: { port: many }\nlimits: { concurency: 5 }\n');
    const problems = problemsOf({ ER_NO_SUCH_THING: '1', ER_ENGINE: 'magic' });
    assert.equal(problems.length, 4, problems.join('\n'));
    assert.match(problems.join('\n'), /^ER_NO_SUCH_THING: no such setting/m);
    assert.match(problems.join('\n'), /^gateway\.port: /m);
    assert.match(problems.join('\n'), /^limits\.concurency: no such setting$/m);
    assert.match(problems.join('\n'), /^engine: .*"builtin"/m);
  });

  test('the message of several problems is a list, of one it is the problem', () => {
    assert.equal(new ConfigError(['a: wrong', 'b: wrong']).message, '- a: wrong\n- b: wrong');
    assert.equal(new ConfigError(['a: wrong']).message, 'a: wrong');
  });

  test('an unknown name deep in the file is reported with its place', () => {
    writeYaml('models: { reranker: { gpus: 2 } }\nfavourite: red\n');
    assert.deepEqual(problemsOf().toSorted(), [
      'favourite: no such setting',
      'models.reranker.gpus: no such setting',
    ]);
  });

  test('YAML that cannot be read is reported with its file and line', () => {
    writeYaml('gateway:\n  port: [\n');
    const [problem = ''] = problemsOf();
    assert.ok(problem.startsWith(`${join(root, 'er.config.yaml')}: `), problem);
    assert.match(problem, /line [23]/);
  });

  test('a file that holds no settings is refused', () => {
    writeYaml('- a\n- b\n');
    assert.match(problemsOf().join(), /must hold settings/);
  });

  test('a named file that is not there is reported; the usual one may be missing', () => {
    assert.deepEqual(problemsOf({ ER_CONFIG: 'none.yaml' }), [
      `${join(root, 'none.yaml')}: cannot be read (ENOENT)`,
    ]);
    assert.doesNotThrow(() => resolveConfig(root, {}));
  });

  for (const [variable, text] of [
    ['ER_GATEWAY_PORT', '0'],
    ['ER_GATEWAY_PORT', '65536'],
    ['ER_GATEWAY_WORKERS', '1.5'],
    ['ER_GATEWAY_TIMEOUT_SECONDS', '-1'],
    ['ER_MODELS_EMBEDDING_GPU_MEMORY_UTILIZATION', '1.01'],
    ['ER_MODELS_EMBEDDING_URLS', 'ftp://model'],
    ['ER_REDIS_URL', 'http://redis'],
    ['ER_LOGS_LEVEL', 'loud'],
  ] as const) {
    test(`${variable}=${text} is refused`, () => {
      assert.equal(problemsOf({ [variable]: text }).length, 1);
    });
  }
});

describe('contradictions', () => {
  test('two parts on one port', () => {
    assert.deepEqual(problemsOf({ ER_MONITOR_PORT: '2048', ER_MODELS_RERANKER_PORT: '8000' }), [
      'monitor.port: port 2048 is taken by gateway.port already',
      'models.reranker.port: port 8000 is taken by models.embedding.port already',
    ]);
  });

  test("a replica's port counts too, but not one of the built-in engine, which runs once", () => {
    const settings = { ER_MODELS_EMBEDDING_REPLICAS: '2', ER_MODELS_RERANKER_PORT: '8010' };
    const paths = { ER_MODELS_EMBEDDING_PATH: root, ER_MODELS_RERANKER_PATH: root };
    assert.deepEqual(problemsOf({ ...settings, ...paths, ER_ENGINE: 'vllm' }), [
      'models.reranker.port: port 8010 is taken by models.embedding.port already',
    ]);
    assert.equal(resolveConfig(root, settings).models.embedding.upstreams.length, 1);
  });

  test('ports above 65535, by replicas', () => {
    const problems = problemsOf({
      ER_ENGINE: 'vllm',
      ER_MODELS_EMBEDDING_PATH: root,
      ER_MODELS_RERANKER_PATH: root,
      ER_MODELS_EMBEDDING_PORT: '65530',
      ER_MODELS_EMBEDDING_REPLICAS: '2',
    });
    assert.deepEqual(problems, ['models.embedding.port: port 65540 is above 65535']);
  });

  test('servers run by somebody else may have any port', () => {
    const config = resolveConfig(root, {
      ER_ENGINE: 'external',
      ER_MODELS_EMBEDDING_URLS: 'http://a:2048/',
      ER_MODELS_RERANKER_URLS: 'http://a:2048',
    });
    assert.deepEqual(config.models.embedding.upstreams, ['http://a:2048']);
  });

  test('the external engine without URLs, for each model', () => {
    assert.deepEqual(
      problemsOf({ ER_ENGINE: 'external' }).map(problem => problem.split(':')[0]),
      ['models.embedding.urls', 'models.reranker.urls'],
    );
  });

  test('vLLM without the model folder names the variable that helps', () => {
    const problems = problemsOf({
      ER_ENGINE: 'vllm',
      ER_MODELS_EMBEDDING_PATH: root,
      ER_MODELS_RERANKER_PATH: '/none',
    });
    assert.equal(problems.length, 1);
    assert.match(problems[0] ?? '', /^models\.reranker\.path: no folder at \/none .*ER_MODELS_RERANKER_PATH/);
  });

  test('half a TLS pair', () => {
    assert.match(
      problemsOf({ ER_GATEWAY_TLS_CERT: 'cert.pem' }).join(),
      /gateway\.tls: cert and key go together/,
    );
  });

  test('a run folder too long for unix sockets', () => {
    assert.match(
      problemsOf({ ER_RUN_DIR: `/tmp/${'x'.repeat(90)}` }).join(),
      /^run_dir: .*too long for unix sockets/,
    );
  });
});

describe('the choice of the engine', () => {
  const urls = { ER_MODELS_EMBEDDING_URLS: 'http://model:1' };
  for (const { title, environment, hasVllm, hasModel, engine, reason } of [
    { title: 'URLs', environment: urls, hasVllm: true, hasModel: true, engine: 'external', reason: /urls/ },
    {
      title: 'vllm and its model',
      environment: {},
      hasVllm: true,
      hasModel: true,
      engine: 'vllm',
      reason: /found/,
    },
    {
      title: 'vllm alone',
      environment: {},
      hasVllm: true,
      hasModel: false,
      engine: 'builtin',
      reason: /no model folder/,
    },
    {
      title: 'a model alone',
      environment: {},
      hasVllm: false,
      hasModel: true,
      engine: 'builtin',
      reason: /no vllm on PATH/,
    },
    {
      title: 'nothing',
      environment: {},
      hasVllm: false,
      hasModel: false,
      engine: 'builtin',
      reason: /no vllm/,
    },
    {
      title: 'vllm and its model, but engine: builtin',
      environment: { ER_ENGINE: 'builtin' },
      hasVllm: true,
      hasModel: true,
      engine: 'builtin',
      reason: /engine: builtin in the configuration/,
    },
  ]) {
    test(`auto with ${title}: ${engine}`, () => {
      const { embedding } = resolveConfig(root, {
        ...environment,
        PATH: hasVllm ? `/nowhere:${installVllm()}` : '/nowhere',
        ER_MODELS_EMBEDDING_PATH: hasModel ? root : join(root, 'none'),
      }).models;
      assert.equal(embedding.engine, engine);
      assert.match(embedding.engineReason, reason);
    });
  }

  test('is made for each model', () => {
    const { embedding, reranker } = resolveConfig(root, urls).models;
    assert.deepEqual([embedding.engine, reranker.engine], ['external', 'builtin']);
  });

  test('replicas of vLLM are 10 ports apart', () => {
    const { embedding } = resolveConfig(root, {
      PATH: installVllm(),
      ER_MODELS_EMBEDDING_PATH: root,
      ER_MODELS_EMBEDDING_REPLICAS: '3',
    }).models;
    assert.deepEqual(embedding.upstreams, [
      'http://127.0.0.1:8000',
      'http://127.0.0.1:8010',
      'http://127.0.0.1:8020',
    ]);
  });

  test('a program is an executable file, by name on PATH or by path', () => {
    const folder = installVllm();
    const program = join(folder, 'vllm');
    assert.equal(findProgram('vllm', { PATH: `::${folder}` }), program);
    assert.equal(findProgram(program, {}), program);
    assert.equal(findProgram('bin', { PATH: root }), null, 'a folder');
    chmodSync(program, 0o644);
    assert.equal(findProgram('vllm', { PATH: folder }), null);
  });
});

describe('the run folder', () => {
  test('is the one that is set, from the project folder on', () => {
    assert.equal(resolveConfig(root, { ER_RUN_DIR: 'run' }).run_dir, join(root, 'run'));
  });

  test('else it is below XDG_RUNTIME_DIR when that is there, by port', () => {
    const environment = { XDG_RUNTIME_DIR: root, ER_GATEWAY_PORT: '3000' };
    assert.equal(resolveConfig(root, environment).run_dir, join(root, 'er-gateway-3000'));
  });

  test('else below the temp folder, by user and port', () => {
    const expected = join(tmpdir(), `er-gateway-${userInfo().uid}-2048`);
    assert.equal(resolveConfig(root, {}).run_dir, expected);
    assert.equal(resolveConfig(root, { XDG_RUNTIME_DIR: join(root, 'gone') }).run_dir, expected);
  });
});

describe('the effective configuration', () => {
  test('is written for this user alone, and processes read it back as it was, whatever their environment says', () => {
    const config = resolveConfig(root, { REDIS_URL: 'redis://:secret@redis' });
    const file = join(root, 'deep', 'config.json');
    writeEffectiveConfig(config, file);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const read = loadConfig('/elsewhere', { ER_EFFECTIVE_CONFIG: file, ER_GATEWAY_PORT: '1' });
    assert.deepEqual(read, config);
    assert.ok(Object.isFrozen(read.gateway.tls));
  });
});

describe('loadConfig() at boot', () => {
  test('takes the temp folder where the folder above the run folder is missing, and keeps to it', () => {
    const runtime = join(root, 'runtime');
    mkdirSync(runtime);
    const config = resolveConfig(root, { XDG_RUNTIME_DIR: runtime });
    const file = join(root, 'config.json');
    writeEffectiveConfig(config, file);
    const load = () => loadConfig(root, { ER_EFFECTIVE_CONFIG: file }).run_dir;
    assert.equal(load(), join(runtime, 'er-gateway-2048'));

    // As after a reboot: systemd makes that folder when the user logs in.
    rmSync(runtime, { recursive: true });
    const fallback = resolveConfig(root, {}).run_dir;
    assert.equal(load(), fallback);
    mkdirSync(runtime);
    assert.equal(load(), fallback, 'processes that start later look where the first ones are');

    writeEffectiveConfig(config, file);
    assert.equal(load(), join(runtime, 'er-gateway-2048'), 'a new start decides anew');
  });
});
