import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestTimings } from '../../../apps/gateway/src/request/timings.ts';

const stagesOf = ({ spans }: RequestTimings) => spans.map(({ stage }) => stage);

test('a failure is booked under the stage that it happened in, and its answer under write', () => {
  const timings = new RequestTimings();
  timings.enter('auth');
  timings.end();
  timings.enter('upstream');
  timings.fail();
  timings.end();
  assert.deepEqual(stagesOf(timings), ['auth', 'upstream', 'write']);
});

test('a failure while the answer is written is no stage of its own', () => {
  const timings = new RequestTimings();
  timings.enter('auth');
  timings.end();
  timings.fail();
  timings.end();
  assert.deepEqual(stagesOf(timings), ['auth', 'write']);
});

test('a stage that is gone on with has two spans and one sum; spans begin where the last one ended', () => {
  const timings = new RequestTimings();
  for (const stage of ['limit', 'parse', 'limit'] as const) {
    timings.enter(stage);
    timings.end();
  }
  timings.enter('upstream');
  timings.endUpstream(0);
  assert.deepEqual(stagesOf(timings), ['limit', 'parse', 'limit', 'queue', 'upstream']);
  let at = 0;
  for (const { start, end } of timings.spans) {
    assert.ok(start === at && end >= start);
    at = end;
  }
  const [first, , second] = timings.spans;
  assert.ok(first && second);
  assert.equal(timings.byStage.get('limit'), first.end - first.start + (second.end - second.start));
  assert.match(timings.toHeader(), /^limit;dur=[\d.]+, parse;dur=[\d.]+, queue;dur=/);
});
