import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import type { Upstream } from '../../../apps/scheduler/src/upstream/upstream.ts';
import { UpstreamFailure } from '../../../apps/scheduler/src/upstream/upstream-failure.ts';
import { type Replicas, startReplicas } from '../../kit/replicas.ts';

/** A call in line with no others. */
const line = { slots: 1, itemsWaiting: 0 };

let replicas: Replicas;
afterEach(() => replicas.stop());

async function startTwo(): Promise<[Upstream, Upstream]> {
  replicas = await startReplicas(2);
  return replicas.upstreams as [Upstream, Upstream];
}

/** Both are long past their slow start. */
const later = () => performance.now() + 60_000;
const batch = () => ({ items: 1, isFull: true, isShared: true });
const nextOf = () => replicas.pool.nextFree(later(), 2, batch)?.upstream;

test('the server with the fewest tokens under way is next, whatever its calls', async () => {
  const [first, second] = await startTwo();
  first.started({ items: 1, tokens: 1000 }, later(), line);
  assert.equal(nextOf(), second);
  second.started({ items: 1, tokens: 400 }, later(), line);
  assert.equal(nextOf(), second);
  second.ended({ items: 1, tokens: 400 }, later());
  second.started({ items: 60, tokens: 1001 }, later(), line);
  assert.equal(nextOf(), first);
});

test('of two with the same load the one that was faster of late is next', async () => {
  const [first, second] = await startTwo();
  first.succeeded(later(), 50, 0);
  second.succeeded(later(), 20, 0);
  assert.equal(nextOf(), second);
  for (let call = 0; call < 20; call++) second.succeeded(later(), 200, 0);
  assert.equal(nextOf(), first);
});

test('a server that has just become ready weighs more than it has to do', async () => {
  const [first] = await startTwo();
  assert.ok(first.weighedLoad(performance.now()) > 3);
  assert.equal(first.weighedLoad(later()), 1);
});

test('what cannot answer is never next; the model is down when none can', async () => {
  const [first, second] = await startTwo();
  const now = performance.now();
  for (let failure = 0; failure < 5; failure++) first.breaker.failed(now);
  assert.deepEqual([replicas.pool.best(), replicas.pool.best(second), nextOf()], [second, null, second]);
  assert.deepEqual([replicas.pool.isReady, replicas.pool.isDown], [true, false]);
  for (let failure = 0; failure < 5; failure++) second.breaker.failed(now);
  assert.deepEqual([replicas.pool.isReady, replicas.pool.isDown], [false, true]);
});

test('a call that is no batch goes once more, to the other server', async () => {
  await startTwo();
  const asked: Upstream[] = [];
  const answer = await replicas.pool.run(new AbortController().signal, async upstream => {
    asked.push(upstream);
    if (asked.length === 1) throw new UpstreamFailure('status', 'status 500', { status: 500 });
    return 'answer';
  });
  assert.equal(answer, 'answer');
  assert.equal(new Set(asked).size, 2);
});
