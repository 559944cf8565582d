import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { CounterLedger, parseMetrics, snapshotOf } from '../../../apps/monitor/src/counter-ledger.ts';

/** The metrics of a process that counted `count`, over the wire. */
async function metricsOf(count: number) {
  const registry = new Registry();
  const registers = [registry];
  new Counter({ name: 'c_total', help: 'c', registers }).inc(count);
  new Gauge({ name: 'g', help: 'g', registers }).set(count);
  const histogram = new Histogram({ name: 'h', help: 'h', buckets: [1], registers });
  for (let i = 0; i < count; i += 1) histogram.observe(0.5);
  return parseMetrics(JSON.parse(JSON.stringify(await snapshotOf(registry))));
}

/** Values of the sums by name. */
async function sums(ledger: CounterLedger, scrape: Parameters<CounterLedger['record']>[0]) {
  const metrics = await snapshotOf(await ledger.record(scrape));
  const values = metrics.flatMap(metric =>
    metric.values.map(({ value, metricName }) => [metricName ?? metric.name, value]),
  );
  return Object.fromEntries(values);
}

test('counters and histograms of processes that are gone stay in the sums, gauges do not', async () => {
  const ledger = new CounterLedger();
  const [two, three] = await Promise.all([metricsOf(2), metricsOf(3)]);
  assert.deepEqual(
    await sums(
      ledger,
      new Map([
        ['a-1@1', two],
        ['b-2@1', three],
      ]),
    ),
    {
      c_total: 5,
      g: 5,
      h_bucket: 5,
      h_sum: 2.5,
      h_count: 5,
    },
  );
  const afterDeath = await sums(ledger, new Map([['b-2@1', three]]));
  assert.deepEqual([afterDeath.c_total, afterDeath.h_count, afterDeath.g], [5, 5, 3]);
  const allGone = await sums(ledger, new Map());
  assert.deepEqual([allGone.c_total, allGone.h_count, allGone.g], [5, 5, undefined]);
});

test('a process that takes the pid of another is counted beside it', async () => {
  const ledger = new CounterLedger();
  await sums(ledger, new Map([['a-1@1', await metricsOf(4)]]));
  assert.equal((await sums(ledger, new Map([['a-1@2', await metricsOf(6)]]))).c_total, 10);
});

test('a process that does not answer keeps its counters and loses its gauges until it is back', async () => {
  const ledger = new CounterLedger();
  await sums(ledger, new Map([['a-1@1', await metricsOf(4)]]));
  const silent = await sums(ledger, new Map([['a-1@1', null]]));
  assert.deepEqual([silent.c_total, silent.g], [4, undefined]);
  const back = await sums(ledger, new Map([['a-1@1', await metricsOf(5)]]));
  assert.deepEqual([back.c_total, back.g], [5, 5]);
});

test('a ledger that goes on from the state of another has the same sums', async () => {
  const first = new CounterLedger();
  await sums(
    first,
    new Map([
      ['a-1@1', await metricsOf(1)],
      ['b-2@1', await metricsOf(2)],
    ]),
  );
  await sums(first, new Map([['b-2@1', await metricsOf(2)]]));
  const second = new CounterLedger(JSON.parse(JSON.stringify(first.state())));
  assert.equal((await sums(second, new Map())).c_total, 3);
});

test('the last counts of a process that has ended count once, however often they are told', async () => {
  const ledger = new CounterLedger();
  const key = 'a-1@1';
  const last = new Map([[key, (await metricsOf(6)) ?? []]]);
  await sums(ledger, new Map([[key, await metricsOf(4)]]));
  const countOf = async (...record: Parameters<CounterLedger['record']>) =>
    (await snapshotOf(await ledger.record(...record)))[0]?.values[0]?.value;
  assert.equal(await countOf(new Map(), last), 6);
  const state = JSON.parse(JSON.stringify(ledger.state()));
  assert.equal(await countOf(new Map(), last), 6);
  assert.equal(await countOf(new Map()), 6);
  const successor = new CounterLedger(state);
  assert.equal((await snapshotOf(await successor.record(new Map(), last)))[0]?.values[0]?.value, 6);
  assert.equal((await sums(successor, new Map())).c_total, 6);
});

test('a process that ends while all are looked at counts with its last counts, not with its answer before', async () => {
  const ledger = new CounterLedger();
  const key = 'a-1@1';
  const last = new Map([[key, (await metricsOf(9)) ?? []]]);
  const both = await snapshotOf(await ledger.record(new Map([[key, await metricsOf(5)]]), last));
  assert.equal(both.find(({ name }) => name === 'c_total')?.values[0]?.value, 9);
  assert.equal((await sums(ledger, new Map())).c_total, 9);
});

test('sums of fractions are the same in whatever order they are made, so that none falls when a process is gone', async () => {
  const ledger = new CounterLedger();
  const fractions = [0.1, 0.7, 1e-7, 1 / 3, 12345.678];
  const scrape = new Map<string, Awaited<ReturnType<typeof metricsOf>>>();
  for (const [pid, value] of fractions.entries()) scrape.set(`a-${pid}@1`, await metricsOf(value));
  let before = (await sums(ledger, scrape)).c_total ?? 0;
  for (const key of ['a-3@1', 'a-0@1', 'a-4@1', 'a-1@1', 'a-2@1']) {
    scrape.delete(key);
    const now = (await sums(ledger, scrape)).c_total ?? 0;
    assert.equal(now, before);
    before = now;
  }
});

test('answers that are no metrics are refused', () => {
  for (const answer of [
    null,
    {},
    'x',
    [null],
    [{ name: 'a' }],
    [{ name: 'a', type: 'counter', aggregator: 'toString', values: [] }],
  ]) {
    assert.equal(parseMetrics(answer), null);
  }
});
