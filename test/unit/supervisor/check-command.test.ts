import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { resolveConfig } from '@er-gateway/shared/config/effective-config';
import { checkCommand, unknownFlags } from '../../../supervisor/src/check-command.ts';

const help = `usage: vllm serve [model_tag] [options]
  --max-model-len MAX_MODEL_LEN
  --enforce-eager, --no-enforce-eager
`;

describe('unknownFlags()', () => {
  const cases: [args: string[], unknown: string[]][] = [
    [['serve', '/m', '--max-model-len', '8'], []],
    [['--max_model_len=8', '--enforce-eager'], []],
    [['--no-enforce-eager', '--task', 'embed'], ['--task']],
    [['--hf-overrides', '{"--x": 1}'], ['--hf-overrides']],
    [['--max-model-len.x', '1', '--hf_overrides.is_matryoshka=true'], ['--hf-overrides']],
  ];
  for (const [args, unknown] of cases) {
    it(`finds ${unknown.join() || 'none'} in ${args.join(' ')}`, () => {
      assert.deepEqual(unknownFlags(args, help), unknown);
    });
  }

  it('knows nothing where the help is none: a wrapper that does not pass it on', () => {
    assert.equal(unknownFlags(['--task', 'embed'], 'usage: my-wrapper'), null);
  });
});

describe('checkCommand()', () => {
  it('says by what line a vLLM that ends with an error could not be asked', async t => {
    const folder = mkdtempSync(join(tmpdir(), 'er-check-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const vllm = join(folder, 'vllm');
    writeFileSync(
      vllm,
      '#!/bin/sh\necho \'Traceback:\' >&2\necho "ImportError: no libcuda.so" >&2\nexit 1\n',
      { mode: 0o755 },
    );
    const config = resolveConfig(folder, {
      ER_ENGINE: 'vllm',
      ER_VLLM_COMMAND: vllm,
      ER_VLLM_DEVICE: 'cpu',
      ER_RUN_DIR: join(folder, 'run'),
      ER_MODELS_EMBEDDING_PATH: folder,
      ER_MODELS_RERANKER_PATH: folder,
    });
    const options = { config, role: 'embedding', replica: 0, environment: {}, enginePath: '' } as const;
    const unasked = 'ImportError: no libcuda.so';
    assert.deepEqual(await checkCommand(options), { version: null, problems: [], unasked });
  });
});
