import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FairQueue } from '../../../apps/scheduler/src/queue/fair-queue.ts';
import { Item, type PriorityClass } from '../../../apps/scheduler/src/queue/item.ts';

const waiter = { resolve: () => {}, reject: () => {} };

function itemOf(keyId: string, tokens = 10, priority: PriorityClass = 'interactive', job: object = {}): Item {
  const item = new Item({ input: { kind: 'text', text: '' }, tokens, keyId, priority, job });
  item.join(waiter);
  return item;
}

function fill(
  queue: FairQueue,
  keyId: string,
  count: number,
  tokens = 10,
  priority: PriorityClass = 'interactive',
): void {
  for (let index = 0; index < count; index++) queue.push(itemOf(keyId, tokens, priority));
}

const countByKey = (items: Item[]) => {
  const counts: Record<string, number> = {};
  for (const { keyId } of items) counts[keyId] = (counts[keyId] ?? 0) + 1;
  return counts;
};

test('a key that floods the queue does not keep another one out of the next batch', () => {
  const queue = new FairQueue();
  fill(queue, 'flood', 2048);
  queue.take({ items: 64, tokens: 8192 });
  queue.push(itemOf('single'));
  const batch = queue.take({ items: 64, tokens: 8192 });
  assert.equal(batch.length, 64);
  assert.equal(countByKey(batch).single, 1);
});

test('keys with much to do share tokens evenly, whatever the size of their items', () => {
  const queue = new FairQueue();
  fill(queue, 'long', 400, 400);
  fill(queue, 'short', 8000, 20);
  const tokens = { long: 0, short: 0 };
  for (let batch = 0; batch < 40; batch++) {
    for (const item of queue.take({ items: 256, tokens: 4096 })) tokens[item.keyId as 'long'] += item.tokens;
  }
  const ratio = tokens.long / tokens.short;
  assert.ok(ratio > 0.85 && ratio < 1.18, `long/short tokens ${ratio}`);
});

test('within a key the order is that of arrival', () => {
  const queue = new FairQueue();
  const items = Array.from({ length: 300 }, () => itemOf('a'));
  for (const item of items) queue.push(item);
  const taken = [];
  while (queue.size > 0) taken.push(...queue.take({ items: 7, tokens: 1000 }));
  assert.deepEqual(taken, items);
});

test('interactive work goes first, and bulk work gets its share of every batch', () => {
  const queue = new FairQueue();
  fill(queue, 'a', 500);
  fill(queue, 'b', 500, 10, 'bulk');
  const batch = queue.take({ items: 64, tokens: 100_000 });
  assert.deepEqual(countByKey(batch), { a: 56, b: 8 });
});

test('bulk work alone fills the whole batch', () => {
  const queue = new FairQueue();
  fill(queue, 'b', 100, 10, 'bulk');
  assert.equal(queue.take({ items: 64, tokens: 100_000 }).length, 64);
});

test('a batch keeps to its budget of items and tokens, but an item above the budget still goes, alone', () => {
  const queue = new FairQueue();
  queue.push(itemOf('a', 5000));
  fill(queue, 'a', 10, 100);
  assert.deepEqual(
    queue.take({ items: 64, tokens: 1000 }).map(({ tokens }) => tokens),
    [5000],
  );
  assert.equal(queue.take({ items: 64, tokens: 450 }).length, 4);
  assert.equal(queue.take({ items: 2, tokens: 450 }).length, 2);
});

test('abandoned items are never taken and are not counted', () => {
  const queue = new FairQueue();
  const [left, stays] = [itemOf('a'), itemOf('a')];
  queue.push(left);
  queue.push(stays);
  left.leave(waiter);
  assert.deepEqual([queue.size, queue.tokens], [1, 10]);
  assert.deepEqual(queue.take({ items: 8, tokens: 100 }), [stays]);
  assert.equal(queue.size, 0);
});

test('items of a failed call go back before the rest of their key, in their order', () => {
  const queue = new FairQueue();
  const items = [itemOf('a'), itemOf('a'), itemOf('a')];
  for (const item of items) queue.push(item);
  queue.pushBack(queue.take({ items: 2, tokens: 100 }));
  assert.deepEqual(queue.take({ items: 8, tokens: 100 }), items);
});

test('take of one job stops where another job begins', () => {
  const queue = new FairQueue();
  const [one, two] = [{}, {}];
  for (const job of [one, one, two]) queue.push(itemOf('a', 10, 'interactive', job));
  assert.equal(queue.take({ items: 8, tokens: 100 }, true).length, 2);
  assert.equal(queue.take({ items: 8, tokens: 100 }, true).length, 1);
});

test('a key of weight 3 gets three times the tokens of a key of weight 1 while both have much to do', () => {
  const queue = new FairQueue();
  const push = (keyId: string, weight: number) => {
    const item = new Item({
      input: { kind: 'text', text: '' },
      tokens: 64,
      keyId,
      priority: 'interactive',
      weight,
      job: {},
    });
    item.join(waiter);
    queue.push(item);
  };
  for (let index = 0; index < 4000; index++) {
    push('heavy', 3);
    push('light', 1);
  }
  const counts = { heavy: 0, light: 0 };
  for (let batch = 0; batch < 40; batch++) {
    for (const item of queue.take({ items: 64, tokens: 4096 })) counts[item.keyId as 'heavy']++;
  }
  const ratio = counts.heavy / counts.light;
  assert.ok(ratio > 2.6 && ratio < 3.4, `heavy/light ${ratio}`);
});

test('keys with little to do come ahead of one that floods, whole and in their order', () => {
  const queue = new FairQueue();
  const budget = { items: 64, tokens: 8192 };
  fill(queue, 'flood', 200);
  fill(queue, 'one', 1);
  fill(queue, 'eight', 8);
  fill(queue, 'nine', 9);
  fill(queue, 'long', 1, 1025);
  fill(queue, 'nightly', 1, 10, 'bulk');
  assert.deepEqual(countByKey(queue.takeAhead(budget)), { one: 1, eight: 8 });
  assert.deepEqual(queue.takeAhead(budget), []);
  assert.equal(queue.size, 200 + 9 + 1 + 1);
});

test('nobody comes ahead where others have less than a batch waiting, and all of them are a batch at most', () => {
  const queue = new FairQueue();
  const budget = { items: 64, tokens: 8192 };
  for (let key = 0; key < 100; key++) fill(queue, `key ${key}`, 1);
  assert.deepEqual(queue.takeAhead(budget), [], 'a hundred callers share batches');
  fill(queue, 'flood', 63);
  assert.deepEqual(queue.takeAhead(budget), [], 'there is room for all of it soon');
  fill(queue, 'flood', 1);
  assert.equal(queue.takeAhead(budget).length, 64);
  assert.equal(queue.takeAhead(budget).length, 36);
});

test('who has left is not taken ahead', () => {
  const queue = new FairQueue();
  fill(queue, 'flood', 200);
  const [left, stays] = [itemOf('a'), itemOf('a')];
  for (const item of [left, stays]) queue.push(item);
  left.leave(waiter);
  assert.deepEqual(queue.takeAhead({ items: 64, tokens: 8192 }), [stays]);
});

test('its age is that of the item that came first, of whatever key and class', () => {
  const queue = new FairQueue();
  assert.equal(queue.ageMs(performance.now()), 0);
  const first = itemOf('slow', 10, 'bulk');
  queue.push(first);
  queue.push(itemOf('quick'));
  assert.equal(Math.round(queue.ageMs(first.arrivedAt + 1500)), 1500);
  queue.clear();
  assert.equal(queue.ageMs(first.arrivedAt + 1500), 0);
});

test('a key whose texts fill batches does not keep another one out, whatever a batch may hold', () => {
  for (const budget of [
    { items: 64, tokens: 8192 },
    { items: 1, tokens: 8192 },
  ]) {
    const queue = new FairQueue();
    fill(queue, 'long', 100, 5000);
    fill(queue, 'short', 3);
    let batches = 0;
    for (const seen = new Set<string>(); !seen.has('short'); batches++)
      for (const { keyId } of queue.take(budget)) seen.add(keyId);
    assert.ok(batches <= 2, `a short text waited for ${batches} batches of ${budget.items}`);
  }
});

test('a key with many requests of one text does not keep another one out of calls that hold one request', () => {
  const queue = new FairQueue();
  fill(queue, 'many', 100);
  queue.take({ items: 64, tokens: 8192 }, true);
  queue.push(itemOf('single'));
  for (let job = 0; job < 100; job++) queue.push(itemOf('many', 10, 'interactive', {}));
  const next = [1, 2, 3].flatMap(() => queue.take({ items: 64, tokens: 8192 }, true));
  assert.ok(next.some(({ keyId }) => keyId === 'single'));
});

test('keys with batches of one item take turns', () => {
  const queue = new FairQueue();
  fill(queue, 'a', 10);
  fill(queue, 'b', 10);
  const order = Array.from({ length: 6 }, () => queue.take({ items: 1, tokens: 8192 })[0]?.keyId);
  assert.equal(order.join(''), 'ababab');
});

for (const { what, budget, ofOneJob, tokens } of [
  { what: 'texts longer than its share', budget: { items: 64, tokens: 2048 }, ofOneJob: false, tokens: 1500 },
  { what: 'texts longer than a batch', budget: { items: 64, tokens: 2048 }, ofOneJob: false, tokens: 5000 },
  { what: 'batches of one item', budget: { items: 1, tokens: 2048 }, ofOneJob: false, tokens: 10 },
  { what: 'calls that hold one request', budget: { items: 64, tokens: 2048 }, ofOneJob: true, tokens: 10 },
]) {
  test(`bulk work is not starved, and no more than its share goes to it: ${what}`, () => {
    const queue = new FairQueue();
    const work = { interactive: 0, bulk: 0 };
    let bulkBatches = 0;
    for (let batch = 0; batch < 200; batch++) {
      const waits = (keyId: string) => queue.inspect().find(line => line.keyId === keyId)?.items ?? 0;
      fill(queue, 'a', 200 - waits('a'), 100);
      fill(queue, 'b', 200 - waits('b'), tokens, 'bulk');
      const taken = queue.take(budget, ofOneJob);
      for (const item of taken) work[item.priority] += item.tokens;
      if (taken.some(({ priority }) => priority === 'bulk')) bulkBatches++;
    }
    assert.ok(bulkBatches >= 10, `bulk was in ${bulkBatches} of 200 batches`);
    const share = work.bulk / (work.bulk + work.interactive);
    assert.ok(share < 0.35, `bulk got ${share} of the tokens`);
  });
}

test('interactive work is not starved by bulk work, however long its texts are', () => {
  const queue = new FairQueue();
  fill(queue, 'b', 1000, 10, 'bulk');
  fill(queue, 'a', 20, 2000);
  let batches = 0;
  for (let left = 20; left > 0; batches++)
    left -= queue.take({ items: 64, tokens: 2048 }).filter(({ keyId }) => keyId === 'a').length;
  assert.ok(batches <= 24, `20 texts took ${batches} batches`);
});

test('what is left by its callers costs nothing to leave, and nothing to keep', () => {
  const queue = new FairQueue();
  const items = Array.from({ length: 200_000 }, (_, index) => itemOf(`key ${index % 50}`));
  for (const item of items) queue.push(item);
  const startedAt = performance.now();
  for (const item of items.slice(1)) item.leave(waiter);
  assert.ok(performance.now() - startedAt < 2000);
  assert.deepEqual([queue.size, queue.tokens, queue.inspect().length], [1, 10, 1]);
  assert.deepEqual(queue.take({ items: 8, tokens: 100 }), [items[0]]);
});

test('what goes before a request is its own line, its part of the lines of others, and of the other class', () => {
  const queue = new FairQueue();
  const of = (keyId: string, priority: PriorityClass = 'interactive', weight = 1) => ({
    keyId,
    priority,
    weight,
  });
  fill(queue, 'flood', 100, 100);
  assert.equal(queue.tokensBefore(of('single'), 50), 100, 'both take turns');
  assert.equal(queue.tokensBefore(of('single', 'interactive', 5), 50), 60);
  assert.equal(queue.tokensBefore(of('flood'), 50), 10_050, 'its own line');
  assert.equal(queue.tokensBefore(of('bulk', 'bulk'), 50), 400, 'seven eighths are interactive');
  assert.equal(queue.tokensBefore(of('bulk', 'bulk'), 50_000), 60_000);
});
