import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Item, type JobOfItems, traceOf } from '../../../apps/scheduler/src/queue/item.ts';

const itemOf = (job: JobOfItems) =>
  new Item({ input: { kind: 'text', text: '' }, tokens: 1, keyId: 'k', priority: 'interactive', job });

test('a call carries the trace of its request, and none when it serves several', () => {
  const trace = { traceparent: '00-1-2-01', tracestate: 'vendor=1' };
  const traced = { trace };
  assert.equal(traceOf([itemOf(traced), itemOf(traced)]), trace);
  assert.equal(traceOf([itemOf(traced), itemOf({ trace: { ...trace } })]), undefined);
  assert.equal(traceOf([itemOf({})]), undefined);
});
