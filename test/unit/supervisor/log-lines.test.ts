import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { endReason } from '../../../supervisor/src/end-reason.ts';
import { explainingLine, loadingDetail } from '../../../supervisor/src/log-lines.ts';

describe('loadingDetail()', () => {
  const cases: [line: string, detail: string | null][] = [
    ['Loading safetensors checkpoint shards:  50% Completed | 1/2 [00:01<00:01]', 'loading weights 1/2'],
    ['INFO 09-01 [gpu_model_runner.py:1] Starting to load model /m...', 'loading weights'],
    ['INFO [default_loader.py:1] Loading weights took 0.52 seconds', 'loading weights'],
    ['INFO [backends.py:1] Dynamo bytecode transform time: 4.2 s', 'compiling'],
    ['Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  10%|#', 'capturing CUDA graphs'],
    ['INFO [kv_cache_utils.py:1] GPU KV cache size: 1,000 tokens', 'reserving memory'],
    ['INFO:     Application startup complete.', 'warming up'],
    ['INFO:     127.0.0.1:1 - "GET / HTTP/1.1" 404', null],
  ];
  for (const [line, detail] of cases) {
    it(`reads ${JSON.stringify(detail)} from ${line.slice(0, 50)}`, () => {
      assert.equal(loadingDetail(line), detail);
    });
  }
});

describe('explainingLine()', () => {
  const followUps = [
    'RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}',
    'vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause.',
  ];
  const cases: [title: string, lines: string[], explanation: string | null][] = [
    ['says nothing of a log without complaints', ['INFO started', 'INFO stopped'], null],
    [
      "finds what pydantic says below its headline, and not the traceback's",
      [
        '(APIServer pid=7) pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig',
        "(APIServer pid=7)   Value error, Invalid repository ID or local directory specified: '/tmp/x'.",
        '(APIServer pid=7) Please verify the following requirements: [type=value_error, input_value=ArgsKwargs()]',
        '(APIServer pid=7)     For further information visit https://errors.pydantic.dev',
      ],
      "Value error, Invalid repository ID or local directory specified: '/tmp/x'. Please verify the following requirements:",
    ],
    [
      'finds the root cause under what follows from it',
      [
        '(EngineCore pid=7) ERROR [core.py:1] ValueError: Free memory on device cuda:0 (1/2 GiB)',
        ...followUps,
      ],
      'ValueError: Free memory on device cuda:0 (1/2 GiB)',
    ],
    [
      'prefers a known cause to a later exception',
      ['torch.OutOfMemoryError: CUDA out of memory. Tried', 'TypeError: object is None'],
      'torch.OutOfMemoryError: CUDA out of memory. Tried',
    ],
    [
      'takes the last exception that is no follow-up',
      ['KeyError: 1', 'ValueError: 2', ...followUps],
      'ValueError: 2',
    ],
    [
      'takes a follow-up when there is nothing better',
      ['INFO', followUps[0] ?? ''],
      followUps[0] ?? 'missing',
    ],
    [
      'knows a taken port',
      ['OSError: [Errno 98] Address already in use'],
      'OSError: [Errno 98] Address already in use',
    ],
    [
      'knows a wrong flag',
      ['usage: vllm', 'vllm: error: unrecognized arguments: --task'],
      'error: unrecognized arguments: --task',
    ],
    [
      "reads Node's errors, with their code",
      ['    at x', 'TypeError [ERR_INVALID_ARG]: no', 'Node.js v24'],
      'TypeError [ERR_INVALID_ARG]: no',
    ],
    [
      'takes a plain complaint, without its colours',
      ['\u001b[31mfatal: no such thing\u001b[0m ', 'bye'],
      'fatal: no such thing',
    ],
  ];
  for (const [title, lines, explanation] of cases) {
    it(title, () => assert.equal(explainingLine(lines), explanation));
  }

  it('cuts a line that is too long', () => {
    assert.equal(explainingLine([`ValueError: ${'x'.repeat(1000)}`])?.length, 301);
  });
});

describe('endReason()', () => {
  const exit = { code: null, signal: null, spawnError: null };
  const cases: [exit: Parameters<typeof endReason>[0], explanation: string | null, reason: string][] = [
    [{ ...exit, code: 0 }, null, 'the model server ended by itself with exit code 0'],
    [{ ...exit, code: 1 }, 'KeyError: 1', 'the model server ended by itself with exit code 1: KeyError: 1'],
    [{ ...exit, signal: 'SIGKILL' }, null, 'the model server was killed by SIGKILL'],
    [
      { ...exit, spawnError: new Error('spawn x EACCES') },
      null,
      'the model server could not be started: spawn x EACCES',
    ],
  ];
  for (const [given, explanation, reason] of cases) {
    it(`says ${reason}`, () => assert.equal(endReason(given, explanation), reason));
  }
});
