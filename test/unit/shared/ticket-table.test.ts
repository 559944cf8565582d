import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TicketTable } from '@er-gateway/shared/ticket-table';

test('a value is found by its number until it is removed', () => {
  const table = new TicketTable<string>();
  const [one, two] = [table.add('one'), table.add('two')];
  assert.deepEqual([table.get(one), table.get(two)], ['one', 'two']);
  table.remove(one);
  assert.deepEqual([table.get(one), table.get(two), table.values()], [undefined, 'two', ['two']]);
});

test('a number that was removed never means a later value', () => {
  const table = new TicketTable<string>();
  const numbers = new Set<number>();
  for (let round = 0; round < 1000; round++) {
    const number = table.add(`value ${round}`);
    assert.ok(Number.isSafeInteger(number) && !numbers.has(number));
    numbers.add(number);
    table.remove(number);
  }
  const last = table.add('last');
  for (const number of numbers) assert.equal(table.get(number), undefined);
  // Twice is as good as once.
  for (const number of numbers) table.remove(number);
  assert.equal(table.get(last), 'last');
});

test('a value is found by what it is', () => {
  const table = new TicketTable<string>();
  const one = table.add('one');
  table.add('two');
  assert.equal(
    table.find(value => value.startsWith('o')),
    'one',
  );
  table.remove(one);
  assert.equal(
    table.find(value => value.startsWith('o')),
    undefined,
  );
});

test('numbers that were never given mean nothing', () => {
  const table = new TicketTable<string>();
  table.add('one');
  for (const number of [0, 1, -1, 0.5, 2 ** 40, Number.NaN]) {
    assert.equal(table.get(number), undefined);
    table.remove(number);
  }
  assert.deepEqual(table.values(), ['one']);
});
