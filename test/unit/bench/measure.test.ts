import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseLoad } from '../../bench/load/load.ts';
import { takeTurns } from '../../bench/measure/pairs.ts';
import { readProcess } from '../../bench/measure/process-table.ts';
import { median, medianRatio } from '../../bench/measure/statistics.ts';
import { parseOptions } from '../../bench/options.ts';

describe('statistics of samples', () => {
  it('takes the middle value, and the mean of the two in the middle', () => {
    assert.equal(median([9, 1, 2]), 2);
    assert.equal(median([4, 1, 3, 2]), 2.5);
    assert.ok(Number.isNaN(median([])));
  });

  it('compares samples with those taken next to them, so that a slow minute changes nothing', () => {
    assert.equal(medianRatio([20, 2, 20], [10, 1, 10]), 2);
  });
});

describe('takeTurns()', () => {
  it('measures A B A B, and keeps the samples of each side in order', async () => {
    const order: string[] = [];
    const side = (name: string) => async (round: number) => {
      order.push(`${name}${round}`);
      return round;
    };
    const samples = await takeTurns({ a: side('a'), b: side('b') }, { rounds: 2 });
    assert.deepEqual(order, ['a0', 'b0', 'a1', 'b1']);
    assert.deepEqual(samples, { a: [0, 1], b: [0, 1] });
  });
});

describe('parseLoad()', () => {
  it('reads the line that the wrk script ends with, and takes only successes for requests', () => {
    const { requests, failed, perSecond, p50Ms } = parseLoad(
      'Running 2s test\nRESULT {"requests":100,"seconds":2,"bytes":5,"badStatus":10,"broken":1,' +
        '"p50Ms":1.5,"p95Ms":2,"p99Ms":3,"maxMs":4,"cpuTicks":0}\n',
    );
    assert.deepEqual(
      { requests, failed, perSecond, p50Ms },
      { requests: 90, failed: 11, perSecond: 45, p50Ms: 1.5 },
    );
  });

  it('refuses an output without it', () => {
    assert.throws(() => parseLoad('unable to connect'), /unable to connect/);
  });
});

describe('readProcess()', () => {
  it('knows the CPU time of a process as the process itself does', () => {
    const { user, system } = process.cpuUsage();
    const read = readProcess(process.pid)?.cpuSeconds ?? Number.NaN;
    // In clock ticks, and the process has gone on since.
    assert.ok(Math.abs(read - (user + system) / 1e6) < 0.2, `${read} s`);
  });

  it('says null of a process that is not there', () => assert.equal(readProcess(2 ** 30), null));
});

describe('parseOptions()', () => {
  it('takes names of scenarios and numbers', () => {
    const { names, options } = parseOptions(['goodput', '--seconds', '3', '--clients', '1,64']);
    assert.deepEqual(names, ['goodput']);
    assert.equal(options.seconds, 3);
    assert.equal(options.pairs, null);
    assert.deepEqual(options.clients, [1, 64]);
  });

  it('makes everything small with --quick', () => {
    const { options } = parseOptions(['--quick', '--pairs', '2']);
    assert.equal(options.seconds, 1);
    assert.equal(options.pairs, 2);
  });

  it('refuses half seconds, which wrk does not know', () => {
    assert.throws(() => parseOptions(['--seconds', '0.5']), /whole number/);
  });
});
