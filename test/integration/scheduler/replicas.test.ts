import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Batcher } from '../../../apps/scheduler/src/batch/batcher.ts';
import { Item, type ItemResult } from '../../../apps/scheduler/src/queue/item.ts';
import type { Upstream, UpstreamOptions } from '../../../apps/scheduler/src/upstream/upstream.ts';
import { UpstreamFailure } from '../../../apps/scheduler/src/upstream/upstream-failure.ts';
import { type Replicas, startReplicas } from '../../kit/replicas.ts';
import { waitFor } from '../../kit/wait-for.ts';

/** A call in line with no others. */
const line = { slots: 1, itemsWaiting: 0 };

type Send = (
  upstream: Upstream,
  items: readonly Item[],
  signal: AbortSignal,
) => Promise<(ItemResult | UpstreamFailure)[]>;

let replicas: Replicas;
let batcher: Batcher;
/** Servers and sizes of the calls so far. */
let calls: { upstream: Upstream; items: number }[];
afterEach(async () => {
  batcher?.close();
  await replicas.stop();
});

async function start(count: number, send: Send, canary?: UpstreamOptions['canary']): Promise<Upstream[]> {
  calls = [];
  replicas = await startReplicas(count, canary);
  batcher = new Batcher({
    pool: replicas.pool,
    wire: {
      canJoinJobs: () => true,
      send: (upstream, items, signal) => {
        calls.push({ upstream, items: items.length });
        return send(upstream, items, signal);
      },
    },
    budget: { items: 16, tokens: 10_000 },
    slots: null,
  });
  return replicas.upstreams;
}

/** Sends texts in one turn; what becomes of each. */
function send(texts: readonly string[], keyId = 'a'): Promise<PromiseSettledResult<ItemResult>[]> {
  const items = texts.map(
    text => new Item({ input: { kind: 'text', text }, tokens: 10, keyId, priority: 'interactive', job: {} }),
  );
  const results = items.map(
    item => new Promise<ItemResult>((resolve, reject) => item.join({ resolve, reject })),
  );
  batcher.add(items);
  return Promise.allSettled(results);
}

const textOf = ({ input }: Item) => (input.kind === 'text' ? input.text : '');
const ok = async (_: Upstream, items: readonly Item[]) => items.map(() => ({ tokens: 10 }));
const fails = (status = 500): Promise<never> =>
  Promise.reject(new UpstreamFailure('status', `status ${status}`, { status }));
const forever = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
const statuses = (results: PromiseSettledResult<ItemResult>[]) =>
  results.map(({ status }) => status).join(' ');
const callsOf = (upstream: Upstream) => calls.filter(call => call.upstream === upstream).length;

test('who has little to do gets calls of its own, one at a time, while a flood takes up the server', async () => {
  const gates: PromiseWithResolvers<void>[] = [];
  const [only] = (await start(1, async (upstream, items) => {
    const gate = Promise.withResolvers<void>();
    gates.push(gate);
    await gate.promise;
    return ok(upstream, items);
  })) as [Upstream];
  const flood = send(
    Array.from({ length: 200 }, (_, index) => `flood ${index}`),
    'flood',
  );
  await waitFor('the calls in line', () => only.callsInLine === batcher.slots);
  const inLine = gates.length;
  assert.ok(calls.every(({ items }) => items === 16));

  const first = send(['one'], 'small');
  await waitFor('its call', () => gates.length === inLine + 1);
  const later = [send(['two'], 'small'), send(['three'], 'another')];
  await nextTurn();
  assert.equal(gates.length, inLine + 1, 'one at a time');
  gates[inLine]?.resolve();
  assert.equal(statuses(await first), 'fulfilled');
  await waitFor('the next one', () => gates.length === inLine + 2);
  assert.deepEqual(
    calls.slice(inLine).map(({ items }) => items),
    [1, 2],
  );
  gates[inLine + 1]?.resolve();
  for (const one of later) assert.equal(statuses(await one), 'fulfilled');
  assert.equal(only.callsInLine, inLine, 'those in line are where they were');

  // Meanwhile the calls in line share one batch, so that a text that comes waits for no more.
  gates[0]?.resolve();
  await waitFor('the call that follows', () => gates.length === inLine + 3);
  assert.equal(calls.at(-1)?.items, Math.floor(16 / batcher.slots));
  for (let at = 1; at < gates.length || batcher.queue.size > 0; at++) {
    await waitFor('a call', () => gates[at]);
    gates[at]?.resolve();
  }
  assert.ok((await flood).every(({ status }) => status === 'fulfilled'));
});

test('a call that failed goes once more to another server, not to the one with the least to do', async () => {
  const [bad, good] = (await start(2, (upstream, items) =>
    upstream === bad ? fails() : ok(upstream, items),
  )) as [Upstream, Upstream];
  bad.latencyMs = 1;
  good.latencyMs = 50;
  assert.equal(statuses(await send(['a'])), 'fulfilled');
  assert.deepEqual([callsOf(bad), callsOf(good)], [1, 1]);
});

test('numbers that are no numbers are asked again elsewhere, and a server that gives no others is taken out', async () => {
  const nan = new UpstreamFailure('nonsense', 'not finite');
  let isBroken = false;
  const [bad] = (await start(
    2,
    async (upstream, items) => items.map(() => (upstream === bad ? nan : { tokens: 10 })),
    async upstream => {
      if (isBroken && upstream === bad) throw nan;
    },
  )) as [Upstream];
  isBroken = true;
  const outcomes = new Set<string>();
  await waitFor('its trial', async () => {
    outcomes.add(statuses(await send(['a'])));
    return !bad.isReady;
  });
  assert.deepEqual([...outcomes], ['fulfilled']);
  const before = callsOf(bad);
  for (let request = 0; request < 5; request++) await send(['a']);
  assert.equal(callsOf(bad), before);
});

test('texts that give no numbers on a server that works cost their owners only, however many there are', async () => {
  const nan = new UpstreamFailure('nonsense', 'not finite');
  const [only] = (await start(1, async (_, items) =>
    items.map(item => (textOf(item) === 'poison' ? nan : { tokens: 10 })),
  )) as [Upstream];
  for (let round = 0; round < 20; round++) {
    const results = await send(['poison', 'good', 'poison']);
    assert.equal(statuses(results), 'rejected fulfilled rejected');
    assert.ok(only.isAvailable(performance.now()));
  }
  assert.equal(only.breaker.openings, 0);
});

test('one text that breaks each of its calls costs its owner only, and opens no breaker', async () => {
  const [only] = (await start(1, (upstream, items) =>
    items.some(item => textOf(item) === 'poison') ? fails() : ok(upstream, items),
  )) as [Upstream];
  const texts = Array.from({ length: 16 }, (_, index) => (index === 5 ? 'poison' : 'good'));
  const results = await send(texts);
  for (const [index, { status }] of results.entries())
    assert.equal(status, index === 5 ? 'rejected' : 'fulfilled', `text ${index}`);
  assert.equal(only.breaker.openings, 0);
  assert.equal(statuses(await send(['poison'])), 'rejected');
  assert.equal(only.breaker.openings, 0, 'two more failures are four with those of the batch at most');
});

test('a text that the server refuses each time fails alone, whatever stands beside it', async () => {
  await start(1, (upstream, items) =>
    items.some(item => textOf(item) === 'refused') ? fails(400) : ok(upstream, items),
  );
  const results = await send(
    Array.from({ length: 16 }, (_, index) => (index % 7 === 3 ? 'refused' : 'good')),
  );
  assert.equal(
    statuses(results),
    Array.from({ length: 16 }, (_, index) => (index % 7 === 3 ? 'rejected' : 'fulfilled')).join(' '),
  );
});

test('halves of a batch go to another server when the first one is taken out meanwhile', async () => {
  const [first, second] = (await start(2, (upstream, items) => {
    if (items.length === 1 || upstream === second) return ok(upstream, items);
    first.breaker.openings++;
    return fails(400).finally(() => {
      first.isReady = false;
    });
  })) as [Upstream, Upstream];
  second.latencyMs = 50;
  first.latencyMs = 1;
  assert.equal(statuses(await send(['a', 'b'])), 'fulfilled fulfilled');
  assert.equal(callsOf(second), 2);
});

test('a server whose calls get no answer gets no more of them, says so, and comes back by its canary', async () => {
  let isHung = true;
  const gate = Promise.withResolvers<void>();
  const [only] = (await start(
    1,
    (upstream, items, signal) => (isHung ? forever(signal) : ok(upstream, items)),
    () => (isHung && calls.length > 0 ? gate.promise : Promise.resolve()),
  )) as [Upstream];
  const stuck = send(['a']);
  await waitFor('the call', () => calls.length === 1);
  assert.equal(only.isSuspected(performance.now() + 9000), false);
  // Ten seconds that have passed without an answer.
  const realNow = performance.now.bind(performance);
  performance.now = () => realNow() + 11_000;
  try {
    assert.equal(only.isAvailable(performance.now()), false);
    assert.equal(replicas.pool.isDown, false, 'it may come back: nobody is refused');
    assert.match(replicas.pool.status().reason ?? '', /answers no call/);
    const waiting = send(['b']);
    batcher.wake();
    assert.equal(calls.length, 1, 'no call goes there');
    isHung = false;
    gate.resolve();
    await only.probe();
    assert.equal(only.isAvailable(performance.now()), true);
    batcher.wake();
    assert.equal(statuses(await waiting), 'fulfilled');
  } finally {
    performance.now = realNow;
  }
  void stuck;
});

test('a server that answers its calls is not suspected, however long it works', async () => {
  const [only] = (await start(1, ok)) as [Upstream];
  const call = { items: 1, tokens: 10 };
  only.started(call, 0, line);
  for (let time = 1; time <= 300; time++) {
    only.started(call, time * 100, line);
    only.succeeded(time * 100, 100, 0);
    only.ended(call, time * 100);
    assert.equal(only.isSuspected(time * 100), false, `after ${time * 100} ms`);
  }
});

test('calls whose callers left unanswered count as silence, and an answer ends it', async () => {
  const [only] = (await start(1, ok)) as [Upstream];
  const call = { items: 1, tokens: 10 };
  for (let time = 0; time < 4; time++) {
    only.started(call, time * 10_000, line);
    only.ended(call, time * 10_000 + 3000);
  }
  assert.equal(only.isSuspected(1e6), true);
  only.started(call, 1e6, line);
  only.answered(1e6);
  only.ended(call, 1e6 + 10);
  assert.equal(only.isSuspected(2e6), false, 'it rests');
});
