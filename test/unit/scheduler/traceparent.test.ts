import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Item, type JobOfItems, traceparentOf } from '../../../apps/scheduler/src/queue/item.ts';

const itemOf = (job: JobOfItems) =>
  new Item({ input: { kind: 'text', text: '' }, tokens: 1, keyId: 'k', priority: 'interactive', job });

test('a call carries the trace of its request, and none when it serves several', () => {
  const traced = { traceparent: '00-1-2-01' };
  assert.equal(traceparentOf([itemOf(traced), itemOf(traced)]), '00-1-2-01');
  assert.equal(traceparentOf([itemOf(traced), itemOf({ traceparent: '00-3-4-01' })]), undefined);
  assert.equal(traceparentOf([itemOf({})]), undefined);
});
