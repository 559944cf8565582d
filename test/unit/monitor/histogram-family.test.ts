import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HistogramFamily } from '@er-gateway/shared/metrics/histogram-family';
import { AggregatorRegistry, Histogram, Registry } from 'prom-client';

const shape = { name: 'er_x_seconds', help: 'Time.', buckets: [0.1, 1, 10] };
const values = [0.05, 0.1, 0.5, 1, 3, 10, 99];

/** A registry with our histogram, and one with prom-client's, after the same observations. */
function bothAfter(times: number) {
  const [ours, theirs] = [new Registry(), new Registry()];
  const family = new HistogramFamily<'model' | 'key'>(ours, shape);
  const histogram = new Histogram({
    ...shape,
    buckets: [...shape.buckets],
    labelNames: ['model', 'key'],
    registers: [theirs],
  });
  for (let time = 0; time < times; time++) {
    for (const key of ['a', 'b']) {
      const labels = { model: 'reranker', key };
      for (const value of values) {
        family.series(labels).observe(value);
        histogram.observe(labels, value);
      }
    }
  }
  return { ours, theirs };
}

test("registries show it as prom-client's own histogram", async () => {
  const { ours, theirs } = bothAfter(3);
  assert.equal(await ours.metrics(), await theirs.metrics());
});

test("its values merge with those of other processes as prom-client's do", async () => {
  const merge = async (registries: Registry[]) =>
    AggregatorRegistry.aggregate(
      await Promise.all(registries.map(registry => registry.getMetricsAsJSON())),
    ).metrics();
  const [one, other] = [bothAfter(1), bothAfter(2)];
  assert.equal(await merge([one.ours, other.ours]), await merge([one.theirs, other.theirs]));
});

test('a series without observations is not shown', async () => {
  const registry = new Registry();
  new HistogramFamily<'model'>(registry, shape).series({ model: 'embedding' });
  assert.doesNotMatch(await registry.metrics(), /er_x_seconds_/);
});
