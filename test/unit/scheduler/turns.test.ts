import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Turns } from '../../../apps/scheduler/src/turns.ts';

test('so many run at once, the others in their order; who leaves has no turn', async () => {
  const turns = new Turns(2);
  const { signal } = new AbortController();
  const left = new AbortController();
  const started: string[] = [];
  const ends = new Map<string, () => void>();
  const run = (name: string, of = signal) =>
    turns.run(of, () => {
      started.push(name);
      return new Promise<void>(resolve => ends.set(name, resolve));
    });
  const all = ['a', 'b', 'c'].map(name => run(name));
  const leaves = assert.rejects(run('d', left.signal), /left/);
  all.push(run('e'));
  await Promise.resolve();
  assert.deepEqual(started, ['a', 'b']);
  left.abort(new Error('left'));
  await leaves;
  for (const name of ['a', 'b', 'c', 'e']) {
    ends.get(name)?.();
    await new Promise(setImmediate);
  }
  await Promise.all(all);
  assert.deepEqual(started, ['a', 'b', 'c', 'e']);
});

test('a turn whose work fails is free again', async () => {
  const turns = new Turns(1);
  const { signal } = new AbortController();
  await assert.rejects(
    turns.run(signal, () => Promise.reject(new Error('failed'))),
    /failed/,
  );
  assert.equal(await turns.run(signal, async () => 'next'), 'next');
});
