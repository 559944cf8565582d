import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { type EffectiveConfig, resolveConfig } from '@er-gateway/shared/config/effective-config';
import { prepareCommand } from '../../../supervisor/src/prepare-command.ts';

/** A folder with a program `vllm`, a model, and an nvidia-smi that prints this list (none when it is null). */
function machine(t: TestContext, gpuList: string | null) {
  const folder = mkdtempSync(join(tmpdir(), 'er-machine-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const program = (name: string, text: string) =>
    writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  program('vllm', 'exit 1');
  if (gpuList !== null) program('nvidia-smi', `printf '${gpuList}'`);
  mkdirSync(join(folder, 'model'));
  const environment = { PATH: folder };
  const config = resolveConfig(folder, {
    ...environment,
    ER_ENGINE: 'vllm',
    ER_RUN_DIR: join(folder, 'run'),
    ER_MODELS_EMBEDDING_PATH: join(folder, 'model'),
    ER_MODELS_RERANKER_PATH: join(folder, 'model'),
  });
  const prepare = (changes: Partial<EffectiveConfig> = {}, role: 'embedding' | 'reranker' = 'embedding') =>
    prepareCommand({
      config: { ...config, ...changes },
      role,
      replica: 0,
      environment,
      enginePath: join(folder, 'no-engine.cjs'),
    });
  return { folder, config, prepare };
}

const twoGpus = 'GPU 0: A (UUID: 1)\\nGPU 1: A (UUID: 2)\\n';
const refusal = (message: RegExp) => ({ name: 'ConfigError', message });

describe('prepareCommand()', () => {
  it('takes the GPU when nvidia-smi lists one', async t => {
    const { folder, prepare } = machine(t, twoGpus);
    const { command, env, gpu } = await prepare();
    assert.deepEqual([command, env.CUDA_VISIBLE_DEVICES, gpu], [join(folder, 'vllm'), '1', 1]);
  });

  for (const [title, gpuList] of [
    ['there is no nvidia-smi', null],
    ['it lists none', 'No devices were found'],
  ] as const) {
    it(`takes the CPU when ${title}`, async t => {
      const { gpu, args } = await machine(t, gpuList).prepare();
      assert.equal(gpu, null);
      assert.ok(args.includes('--enforce-eager'));
    });
  }

  it('is no reason for the CPU that nvidia-smi fails: its line is the error, and another start may mend it', async t => {
    const { folder, prepare } = machine(t, twoGpus);
    const smi = (text: string) => writeFileSync(join(folder, 'nvidia-smi'), `#!/bin/sh\n${text}\n`);
    smi('echo "Driver/library version mismatch" >&2; exit 18');
    await assert.rejects(prepare(), {
      name: 'Error',
      message: /^nvidia-smi fails: Driver\/library version mismatch /,
    });
    smi('echo "No devices were found"; exit 6');
    assert.equal((await prepare()).gpu, null);
  });

  it('follows vllm.device without asking', async t => {
    const { prepare } = machine(t, twoGpus);
    assert.equal((await prepare({ vllm: { command: 'vllm', device: 'cpu' } })).gpu, null);
  });

  it('refuses a GPU that is not there, naming those that are', async t => {
    const { prepare } = machine(t, 'GPU 0: A (UUID: 1)\\n');
    await assert.rejects(prepare(), refusal(/no GPU 1 \(nvidia-smi lists 0\); set ER_MODELS_EMBEDDING_GPU/));
  });

  it('names the program, the model folder and the template that are missing, all at once', async t => {
    const { config, folder, prepare } = machine(t, null);
    rmSync(join(folder, 'model'), { recursive: true });
    const changes = { vllm: { ...config.vllm, command: 'vllm9' } };
    await assert.rejects(
      prepare(changes, 'reranker'),
      refusal(
        /no program vllm9 .*\n- models\.reranker\.path: no folder at .*\n- .*qwen3_reranker\.jinja is missing/,
      ),
    );
  });

  it('refuses a built-in engine that was not built, an external one, and a replica too many', async t => {
    const { config, prepare } = machine(t, null);
    const as = (change: object) => ({
      models: { ...config.models, embedding: { ...config.models.embedding, ...change } },
    });
    await assert.rejects(
      prepare(as({ engine: 'builtin' })),
      refusal(/no-engine\.cjs is missing: run npm run build/),
    );
    await assert.rejects(prepare(as({ engine: 'external' })), refusal(/has no model process/));
    await assert.rejects(prepare(as({ replicas: 0 })), refusal(/replica 0 is not asked for/));
  });
});
