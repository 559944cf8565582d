import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ItemCache } from '../../../apps/scheduler/src/cache/item-cache.ts';
import { ModelLane } from '../../../apps/scheduler/src/model-lane.ts';
import { type Replicas, startReplicas } from '../../kit/replicas.ts';

let replicas: Replicas;
let lane: ModelLane;
let calls: number;
afterEach(async () => {
  await lane.close();
  await replicas.stop();
});

async function start({ maxBytes = 0, scope = 'key' as 'key' | 'shared', callMs = 20, items = 64 } = {}) {
  replicas = await startReplicas(1);
  calls = 0;
  lane = new ModelLane({
    pool: replicas.pool,
    batching: {
      wire: {
        canJoinJobs: () => true,
        send: async (_, batch, signal) => {
          calls++;
          await delay(callMs, null, { signal });
          return batch.map(({ tokens }) => ({ tokens }));
        },
      },
      budget: { items, tokens: 10_000 },
      slots: 1,
    },
    cache: new ItemCache(maxBytes),
    cacheScope: scope,
    revision: () => 'r',
    countsTokens: () => true,
    field: 'input',
  });
}

let requests = 0;
function run(text: string, { keyId = 'a', timeoutMs = 60_000, signal = new AbortController().signal } = {}) {
  return lane.run([{ input: { kind: 'text', text }, tokens: 100 }], {
    requestId: `${requests++}`,
    keyId,
    priority: 'interactive',
    weight: 1,
    noStore: false,
    deadlineAt: Date.now() + timeoutMs,
    arrivedAt: performance.now(),
    trace: undefined,
    signal,
  });
}

test('a cache that is off still lets equal texts in flight share their work', async () => {
  await start();
  const outcomes = await Promise.all([run('same'), run('same'), run('same')]);
  assert.equal(calls, 1);
  assert.deepEqual(
    outcomes.map(({ cacheHits }) => cacheHits),
    [0, 0, 0],
  );
  await run('same');
  assert.equal(calls, 2, 'nothing was kept');
});

test('a cache of each key, and one that all share', async () => {
  for (const [scope, hits] of [
    ['key', 0],
    ['shared', 1],
  ] as const) {
    await start({ maxBytes: 1e6, scope });
    await run('text', { keyId: 'a' });
    assert.equal((await run('text', { keyId: 'a' })).cacheHits, 1);
    assert.equal((await run('text', { keyId: 'b' })).cacheHits, hits, scope);
    if (scope === 'key') {
      await lane.close();
      await replicas.stop();
    }
  }
});

test('what cannot be done by its deadline is refused at once, with the time after which it can', async () => {
  await start({ callMs: 50, items: 1 });
  const leave = new AbortController();
  const flood = Array.from({ length: 200 }, (_, index) =>
    run(`text ${index}`, { signal: leave.signal }).catch(() => {}),
  );
  for (const startedAt = performance.now(); lane.batcher.drainMs() === 0; ) {
    assert.ok(performance.now() - startedAt < 8000, 'no rate was learned');
    await delay(50);
  }
  const startedAt = performance.now();
  const neededMs = lane.batcher.drainMs();
  assert.ok(neededMs > 3000 && neededMs < 30_000, `${neededMs} ms for some 170 calls of 50 ms`);
  await assert.rejects(run('late', { timeoutMs: 1000 }), (error: { code: string; retryAfterMs: number }) => {
    assert.equal(error.code, 'overloaded');
    assert.ok(
      error.retryAfterMs >= 1000 && error.retryAfterMs < neededMs,
      `Retry-After ${error.retryAfterMs}`,
    );
    return true;
  });
  assert.ok(performance.now() - startedAt < 1000, 'it did not wait for its time-out');
  await run('another key has its turn', { keyId: 'b', timeoutMs: 1500 });
  leave.abort(new Error('left'));
  await Promise.all(flood);
  assert.equal(lane.batcher.queue.size, 0);
});
