import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { argumentsFor, parseVersion, vllmVersionOf } from '../../../supervisor/src/vllm-version.ts';

const flags = [
  ['--runner', 'pooling'],
  ['--convert', 'embed'],
  ['--chat-template', '/t.jinja'],
  ['--disable-access-log-for-endpoints', '/health'],
  ['--shutdown-timeout', '20'],
];

describe('argumentsFor()', () => {
  const cases: [version: string, args: string][] = [
    ['0.10.0', '--task embed --disable-uvicorn-access-log'],
    ['0.10.1', '--runner pooling --convert embed --disable-uvicorn-access-log'],
    ['0.14.0', '--runner pooling --convert embed --chat-template /t.jinja --disable-uvicorn-access-log'],
    [
      '0.16.1',
      '--runner pooling --convert embed --chat-template /t.jinja --disable-access-log-for-endpoints /health',
    ],
    ['0.32.0', flags.flat().join(' ')],
    ['1.0', flags.flat().join(' ')],
  ];
  for (const [version, args] of cases) {
    it(`gives vLLM ${version} the flags that it has`, () => {
      assert.equal(argumentsFor(parseVersion(version), flags).join(' '), args);
    });
  }

  it('takes a vLLM of unknown version for a new one', () => {
    assert.deepEqual(argumentsFor(null, flags), flags.flat());
  });

  it('refuses what an old one cannot do, by the name of the flag', () => {
    const cache = [['--kv-cache-memory-bytes', '1']];
    assert.throws(() => argumentsFor([0, 10, 1], cache), {
      name: 'ConfigError',
      message: /vLLM 0\.10\.1 has no --kv-cache-memory-bytes \(it came with 0\.10\.2\)/,
    });
    assert.deepEqual(argumentsFor([0, 10, 2], cache), cache.flat());
  });

  it('refuses one that is too old altogether', () => {
    assert.throws(() => argumentsFor([0, 9, 2], []), {
      message: /vLLM 0\.9\.2, and 0\.10\.0 or newer is needed/,
    });
  });
});

describe('vllmVersionOf()', () => {
  it('reads the version of the package next to the program, without running it', t => {
    const folder = mkdtempSync(join(tmpdir(), 'er-venv-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const program = join(folder, 'bin', 'vllm');
    mkdirSync(join(folder, 'bin'));
    writeFileSync(program, 'exit 1', { mode: 0o755 });
    assert.equal(vllmVersionOf(program), null);
    for (const name of ['vllm-0.10.2rc1+cu128.dist-info', 'vllm_flash_attn-2.6.dist-info']) {
      mkdirSync(join(folder, 'lib/python3.11/site-packages', name), { recursive: true });
    }
    assert.deepEqual(vllmVersionOf(program), [0, 10, 2]);
    assert.equal(vllmVersionOf('/no/such/program'), null);
  });
});
