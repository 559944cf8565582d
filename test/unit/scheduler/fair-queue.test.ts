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

test('abandoned items are never taken and are not counted once dropped', () => {
  const queue = new FairQueue();
  const [left, stays] = [itemOf('a'), itemOf('a')];
  queue.push(left);
  queue.push(stays);
  left.leave(waiter);
  queue.dropAbandoned();
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

test('its age is that of the item that came first, of whatever key and class', () => {
  const queue = new FairQueue();
  assert.equal(queue.ageMs(performance.now()), 0);
  const first = itemOf('slow', 10, 'bulk');
  queue.push(first);
  queue.push(itemOf('quick'));
  assert.equal(queue.ageMs(first.arrivedAt + 1500), 1500);
  queue.clear();
  assert.equal(queue.ageMs(first.arrivedAt + 1500), 0);
});
