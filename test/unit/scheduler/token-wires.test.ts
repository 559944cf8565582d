import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Item, type ItemInput } from '../../../apps/scheduler/src/queue/item.ts';
import type { Upstream } from '../../../apps/scheduler/src/upstream/upstream.ts';
import { tokenScoreWire } from '../../../apps/scheduler/src/wire/token-wires.ts';

const itemOf = (input: ItemInput) =>
  new Item({ input, tokens: 5, keyId: 'key', priority: 'interactive', job: {} });

/** What a wire sends for these inputs, before a server whose answers are these bytes. */
async function send(inputs: ItemInput[], bytes = Buffer.from([0, 0, 0, 63])) {
  const bodies: { model: string; input: number[][] }[] = [];
  const upstream = {
    model: { id: 'm' },
    post: async (_path: string, body: string) => {
      bodies.push(JSON.parse(body));
      const data = inputs.map((_, index) => ({ index, data: bytes.toString('base64') }));
      return Buffer.from(JSON.stringify({ data }));
    },
  } as unknown as Upstream;
  const results = await tokenScoreWire.send(upstream, inputs.map(itemOf), new AbortController().signal);
  return { body: bodies[0], results };
}

test('ids in parts go as one list, like those that are one list', async () => {
  const parts = [Int32Array.of(1, 2), new Int32Array(0), Int32Array.of(3)];
  const { body, results } = await send([
    { kind: 'parts', parts },
    { kind: 'ids', ids: [1, 2, 3] },
    { kind: 'parts', parts: [new Int32Array(0)] },
  ]);
  assert.deepEqual(body?.input, [[1, 2, 3], [1, 2, 3], []]);
  assert.deepEqual(results[0], { score: 0.5, tokens: 5 });
});

test('a vector for a score names the flag that the server lacks', async () => {
  const { results } = await send([{ kind: 'ids', ids: [1] }], Buffer.alloc(4096));
  assert.match(String(results[0]), /a vector of 1024 numbers, not a score.*--hf-overrides/);
});
