import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { unknownFlags } from '../../../supervisor/src/check-command.ts';

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
  ];
  for (const [args, unknown] of cases) {
    it(`finds ${unknown.join() || 'none'} in ${args.join(' ')}`, () => {
      assert.deepEqual(unknownFlags(args, help), unknown);
    });
  }

  it('finds none where the help is none: a wrapper that does not pass it on', () => {
    assert.deepEqual(unknownFlags(['--task', 'embed'], 'usage: my-wrapper'), []);
  });
});
