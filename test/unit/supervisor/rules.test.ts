import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ModelProcessState } from '@er-gateway/shared/model-process-status';
import { backOffMs, failedStartsAfter } from '../../../supervisor/src/back-off.ts';
import { parseGpuList } from '../../../supervisor/src/gpu.ts';
import { parseStat } from '../../../supervisor/src/process-table.ts';
import { embeddingProblem, scoreProblem } from '../../../supervisor/src/readiness.ts';
import { canEnter } from '../../../supervisor/src/states.ts';

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
  const states: ModelProcessState[] = ['starting', 'backing-off', 'loading', 'ready', 'stopping', 'failed'];

  it('lead from any living one to stopping and to failed', () => {
    for (const from of ['starting', 'backing-off', 'loading', 'ready'] as const) {
      assert.ok(canEnter(from, 'stopping') && canEnter(from, 'failed'), from);
    }
  });

  it('lead to ready from loading alone', () => {
    assert.deepEqual(
      states.filter(from => canEnter(from, 'ready')),
      ['loading'],
    );
  });

  it('end in failed: one life does not start a second server', () => {
    assert.deepEqual(
      states.filter(to => canEnter('failed', to)),
      [],
    );
    assert.deepEqual(
      states.filter(to => canEnter('stopping', to)),
      ['failed'],
    );
  });
});

describe('embeddingProblem()', () => {
  const answer = (embedding: unknown) => ({ data: [{ index: 0, embedding }] });
  const cases: [answer: unknown, problem: RegExp | null][] = [
    [answer([0.6, 0.8]), null],
    [answer([0.6004, 0.8]), null],
    [answer([3, 4]), /length 5.000 instead of 1/],
    [answer([0, 0]), /length 0/],
    [answer([0.6, null]), /no numbers/],
    [answer([]), /no list of numbers/],
    [answer('AAAA'), /no list of numbers/],
    [{ data: [] }, /not one embedding/],
    [{ data: [{ embedding: [1] }, { embedding: [1] }] }, /not one embedding/],
    [{ error: { message: 'x' } }, /not one embedding/],
    [null, /not one embedding/],
  ];
  for (const [given, problem] of cases) {
    it(`finds ${problem ?? 'nothing wrong'} in ${JSON.stringify(given)}`, () => {
      if (problem === null) assert.equal(embeddingProblem(given), null);
      else assert.match(embeddingProblem(given) ?? '', problem);
    });
  }
});

describe('scoreProblem()', () => {
  const answer = (score: unknown) => ({ results: [{ index: 0, relevance_score: score }] });
  const cases: [answer: unknown, problem: RegExp | null][] = [
    [answer(0), null],
    [answer(1), null],
    [answer(1.01), /not between 0 and 1/],
    [answer(-0.1), /not between 0 and 1/],
    [answer(null), /no number/],
    [answer('0.5'), /no number/],
    [{ results: [] }, /not one score/],
    [null, /not one score/],
  ];
  for (const [given, problem] of cases) {
    it(`finds ${problem ?? 'nothing wrong'} in ${JSON.stringify(given)}`, () => {
      if (problem === null) assert.equal(scoreProblem(given), null);
      else assert.match(scoreProblem(given) ?? '', problem);
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
    const text = '42 (VLLM::Engine (x) 9) S 7 40 41 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 98765 100 200\n';
    assert.deepEqual(parseStat(text), { pid: 42, state: 'S', group: 40, session: 41, startTicks: 98765 });
  });
});
