import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Item } from '../../../apps/scheduler/src/queue/item.ts';
import type { Upstream } from '../../../apps/scheduler/src/upstream/upstream.ts';
import { UpstreamFailure } from '../../../apps/scheduler/src/upstream/upstream-failure.ts';
import { textEmbedWire } from '../../../apps/scheduler/src/wire/text-wires.ts';

test('a server that ignores encoding_format fails the items that it answers with numbers, no others', async () => {
  const embeddings = [Buffer.from(Float32Array.of(0.6, 0.8).buffer).toString('base64'), [0.6, 0.8]];
  const data = embeddings.map((embedding, index) => ({ index, embedding }));
  const upstream = {
    model: { id: 'm' },
    dimensions: 2,
    post: async () => Buffer.from(JSON.stringify({ data, usage: { prompt_tokens: 3 } })),
  } as unknown as Upstream;
  const items = embeddings.map(
    (_, index) =>
      new Item({
        input: { kind: 'text', text: `text ${index}` },
        tokens: 3,
        keyId: 'key',
        priority: 'interactive',
        job: {},
      }),
  );
  const [good, bad] = await textEmbedWire.send(upstream, items, new AbortController().signal);
  assert.ok(good && !(good instanceof UpstreamFailure));
  assert.deepEqual(
    [...new Float32Array(new Uint8Array(good.vector ?? []).buffer)],
    [...Float32Array.of(0.6, 0.8)],
  );
  assert.ok(bad instanceof UpstreamFailure);
  assert.match(bad.message, /a vector of 0 bytes/);
});
