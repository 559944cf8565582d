import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { ModelProcessState } from '@er-gateway/shared/model-process-status';
import { parseStat } from '@er-gateway/shared/process-table';
import { backOffMs, failedStartsAfter } from '../../../supervisor/src/back-off.ts';
import { isFinal } from '../../../supervisor/src/end-reason.ts';
import { parseGpuList, parseGpuMemory } from '../../../supervisor/src/gpu.ts';
import { scoresProblem, vectorsProblem } from '../../../supervisor/src/readiness.ts';
import { rerankerPrompt } from '../../../supervisor/src/reranker-prompt.ts';
import { canEnter, modelProcessStates } from '../../../supervisor/src/states.ts';

describe('backOffMs()', () => {
  it('waits 0, 1, 2, 4 … 30 s, however many starts failed', () => {
    const waits = [0, 1, 2, 3, 4, 5, 6, 7, 2000].map(backOffMs);
    assert.deepEqual(waits, [0, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
  });
});

describe('failedStartsAfter()', () => {
  it('counts an end before a minute of readiness, and forgets all failures after it', () => {
    assert.equal(failedStartsAfter(0, 0), 1);
    assert.equal(failedStartsAfter(3, 59_999), 4);
    assert.equal(failedStartsAfter(3, 60_000), 0);
  });
});

describe('the states of a model process', () => {
  const comesFrom = (to: ModelProcessState) => modelProcessStates.filter(from => canEnter(from, to));

  it('are those of the table in supervisor/design.md', () => {
    const page = readFileSync(join(import.meta.dirname, '../../../supervisor/design.md'), 'utf8');
    const rows = [...page.matchAll(/^\| (\w+) +\| ([\w, ]+?) +\|.*$/gm)].filter(([, from]) =>
      modelProcessStates.some(state => state === from),
    );
    assert.deepEqual(
      rows.map(([, from = '', to = '']) => [from, to.split(', ').sort()]),
      modelProcessStates.map(from => [from, modelProcessStates.filter(to => canEnter(from, to)).sort()]),
    );
  });

  it('lead to ready by a test alone, and back from doubt', () => {
    assert.deepEqual(comesFrom('ready'), ['testing', 'degraded']);
  });

  it('lead to a signal from a server that is ready only when it was drained, or failed', () => {
    assert.deepEqual(comesFrom('draining'), ['ready', 'degraded']);
    assert.deepEqual(
      modelProcessStates.filter(to => canEnter('draining', to)),
      ['stopping'],
    );
  });

  it('end in stopped or failed, from which a new life begins', () => {
    for (const end of ['stopped', 'failed'] as const) {
      assert.deepEqual(
        modelProcessStates.filter(to => canEnter(end, to)),
        ['starting'],
      );
    }
  });

  it('are left from every one: no life hangs', () => {
    for (const state of modelProcessStates)
      assert.ok(
        modelProcessStates.some(to => canEnter(state, to)),
        state,
      );
  });
});

describe('vectorsProblem()', () => {
  const cases: [vectors: unknown[][], dimensions: number | null, problem: RegExp | null][] = [
    [[[0.6, 0.8]], null, null],
    [[[0.6004, 0.8]], 2, null],
    [[[0.6, 0.8]], 3, /2 numbers instead of 3/],
    [[[3, 4]], null, /length 5.000 instead of 1/],
    [[[0, 0]], null, /length 0/],
    [[[0.6, null]], null, /no numbers/],
    [[[0.6, Number.NaN]], null, /no numbers/],
    [[[]], null, /no list of numbers/],
    [['AAAA' as never], null, /no list of numbers/],
    [[], null, /0 embeddings for 1/],
    [[[1], [1]], null, /2 embeddings for 1/],
  ];
  for (const [given, dimensions, problem] of cases) {
    it(`finds ${problem ?? 'nothing wrong'} in ${JSON.stringify(given)}`, () => {
      const found = vectorsProblem(given, 1, dimensions);
      if (problem === null) assert.equal(found, null);
      else assert.match(found ?? '', problem);
    });
  }
});

describe('scoresProblem()', () => {
  const cases: [scores: unknown[], problem: RegExp | null][] = [
    [[0], null],
    [[1], null],
    [[1.01], /not between 0 and 1/],
    [[-0.1], /not between 0 and 1/],
    [[null], /no number/],
    [['0.5'], /no number/],
    [[], /0 scores for 1/],
  ];
  for (const [given, problem] of cases) {
    it(`finds ${problem ?? 'nothing wrong'} in ${JSON.stringify(given)}`, () => {
      const found = scoresProblem(given, 1);
      if (problem === null) assert.equal(found, null);
      else assert.match(found ?? '', problem);
    });
  }
});

describe('the prompt of the self-test', () => {
  it('is what the template comes to', () => {
    const folder = join(import.meta.dirname, '../../../supervisor/templates/qwen3_reranker.jinja');
    const template = readFileSync(folder, 'utf8');
    const [head = '', tail = ''] = [template.slice(0, 60), template.slice(-50)];
    const prompt = rerankerPrompt('Q', 'D');
    assert.ok(prompt.startsWith('<|im_start|>system\nJudge whether the Document'), head);
    // Jinja drops one line break at the end.
    assert.equal(prompt.slice(-45), tail.slice(0, -1).slice(-45));
  });
});

describe('isFinal()', () => {
  it('is a refused command line, and nothing else', () => {
    const exit = { code: 1, signal: null, spawnError: null };
    assert.deepEqual(
      [isFinal({ ...exit, code: 2 }), isFinal(exit), isFinal({ ...exit, code: 0 }), isFinal('it hangs')],
      [true, false, false, false],
    );
  });
});

describe('parseGpuMemory()', () => {
  const cases: [text: string, free: number | null][] = [
    ['1024, 81559\n', 1024],
    ['[N/A], [N/A]\n', null],
    ['', null],
    ['No devices were found\n', null],
  ];
  for (const [text, free] of cases) {
    it(`reads ${free} from ${JSON.stringify(text)}`, () => {
      assert.equal(parseGpuMemory(text)?.freeMebibytes ?? null, free);
    });
  }
});

describe('parseGpuList()', () => {
  it('reads the indexes of GPUs and not those of their MIG slices', () => {
    const text =
      'GPU 0: NVIDIA H100 (UUID: GPU-1)\n  MIG 1g.10gb Device 0: (UUID: MIG-1)\nGPU 1: NVIDIA H100 (UUID: GPU-2)\n';
    assert.deepEqual(parseGpuList(text), [0, 1]);
    assert.deepEqual(parseGpuList('No devices found.\n'), []);
  });
});

describe('parseStat()', () => {
  it('is not misled by a program name with spaces and parentheses', () => {
    const text = '42 (VLLM::Engine (x) 9) S 7 40 41 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 3 0 98765 100 200\n';
    assert.deepEqual(parseStat(text), {
      pid: 42,
      state: 'S',
      group: 40,
      session: 41,
      startTicks: 98765,
      cpuSeconds: 2,
      residentBytes: 200 * 4096,
    });
  });
});
