import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Item, type ItemInput } from '../../../apps/scheduler/src/queue/item.ts';
import type { Upstream } from '../../../apps/scheduler/src/upstream/upstream.ts';
import { eitherWire } from '../../../apps/scheduler/src/wire/either-wire.ts';
import type { Wire } from '../../../apps/scheduler/src/wire/wire.ts';

const itemOf = (input: ItemInput, job = {}) =>
  new Item({ input, tokens: 1, keyId: 'key', priority: 'interactive', job });

/** A wire that notes the calls that it sends, and answers with their number and the item's place. */
function noting(canJoin: boolean) {
  const calls: ItemInput[][] = [];
  const wire: Wire = {
    canJoinJobs: () => canJoin,
    send: async (_, items) => {
      calls.push(items.map(({ input }) => input));
      return items.map(({ input }) => ({ tokens: 'text' in input ? input.text.length : 0 }));
    },
  };
  return { wire, calls };
}

test('a batch of texts and token ids goes in a call for each, and the answers come back in its order', async () => {
  for (const joins of [true, false]) {
    const [tokens, texts] = [noting(true), noting(joins)];
    let hasTokenizer = false;
    const wire = eitherWire({ tokens: tokens.wire, texts: texts.wire }, () => hasTokenizer);
    const upstream = {} as Upstream;
    assert.equal(wire.canJoinJobs(upstream), joins);
    hasTokenizer = true;
    assert.equal(wire.canJoinJobs(upstream), true);
    const batch = [
      itemOf({ kind: 'text', text: 'a' }),
      itemOf({ kind: 'parts', parts: [] }),
      itemOf({ kind: 'text', text: 'bb' }),
      itemOf({ kind: 'ids', ids: [1] }),
    ];
    const results = await wire.send(upstream, batch, new AbortController().signal);
    assert.deepEqual(results, [{ tokens: 1 }, { tokens: 0 }, { tokens: 2 }, { tokens: 0 }]);
    assert.equal(tokens.calls.length, 1);
    // A server that tells only a call's sum of tokens gets the texts of each job by themselves.
    assert.equal(texts.calls.length, joins ? 1 : 2);
  }
});
