import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { targetText, valueText } from '../../bench/report/figure-text.ts';
import type { Result } from '../../bench/report/result.ts';
import { replaceTable, toTable } from '../../bench/report/table.ts';

const machine = { cpu: 'Some CPU', cores: 2, memoryGib: 24, kernel: 'Linux 6' };
const versions = { project: `${'a'.repeat(40)}+`, node: 'v24.0.0', vllm: '0.32.0' } as Result['versions'];
const result = (scenario: string, figures: Result['figures']): Result => ({
  scenario,
  title: '',
  command: '',
  startedAt: '2026-01-02T03:04:05.000Z',
  seconds: 1,
  isQuick: false,
  machine,
  versions,
  figures,
  samples: {},
});

describe('figures for people', () => {
  it('have three digits and a unit', () => {
    assert.equal(valueText({ name: '', value: 1234.56, unit: '1/s' }), '1,235');
    assert.equal(valueText({ name: '', value: 1.2345, unit: 'x' }), '1.23x');
    assert.equal(valueText({ name: '', value: 46.789, unit: 'MB' }), '46.8 MB');
    assert.equal(valueText({ name: '', value: Number.NaN, unit: 's' }), 'not measured');
  });

  it('say whether the target is met', () => {
    const figure = { name: '', unit: 's' as const, target: { atMost: 10 } };
    assert.equal(targetText({ ...figure, value: 10 }), 'at most 10 s met');
    assert.equal(targetText({ ...figure, value: 10.1 }), 'at most 10 s **missed**');
    assert.equal(targetText({ ...figure, value: Number.NaN }), 'at most 10 s **missed**');
    assert.equal(targetText({ name: '', unit: 's', value: 1 }), '');
  });
});

describe('the table in the README', () => {
  it('has a row for each figure, and one line for runs on the same machine', () => {
    const figure = { name: 'goodput', value: 1.7, unit: 'x' as const, target: { atLeast: 1.6 } };
    const table = toTable([result('one', [figure]), result('two', [])]);
    assert.match(table, /^\| one \| goodput \| 1\.70x \| at least 1\.6x met \|$/m);
    assert.match(
      table,
      /^one, two: 2026-01-02, 2 cores of Some CPU, 24 GiB, Linux 6, Node 24\.0\.0, vLLM 0\.32\.0, revision a{12} with changes\.$/m,
    );
  });

  it('replaces what stands between the marks, and nothing else', () => {
    const text = 'before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n';
    const once = replaceTable(text, '| new |');
    assert.equal(once, 'before\n<!-- bench:begin -->\n\n| new |\n\n<!-- bench:end -->\nafter\n');
    assert.equal(replaceTable(once, '| new |'), once);
  });

  it('refuses a text without the marks', () => {
    assert.throws(() => replaceTable('no marks', ''), /bench:begin/);
  });
});
