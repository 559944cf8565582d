import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Upstream } from '../../../apps/scheduler/src/upstream/upstream.ts';
import { freePort } from '../../kit/free-port.ts';

test('a server whose calls outlast the drain gets no more, until it was down', async t => {
  const url = `http://127.0.0.1:${await freePort()}`;
  const upstream = new Upstream({ url, windowMs: null, canary: async () => {} });
  t.after(() => upstream.close());
  upstream.isReady = true;
  upstream.started({ items: 1, tokens: 1 }, 0, { slots: 1, itemsWaiting: 0 });
  const patience = new AbortController();
  const drained = upstream.drain(patience.signal);
  patience.abort(new Error('20 s are over'));
  await drained;
  assert.equal(upstream.isAvailable(performance.now()), false);

  // Its port is closed: it has ended. What comes up there next begins anew.
  await assert.rejects(upstream.post('/v1/embeddings', '{}', new AbortController().signal));
  upstream.isReady = true;
  assert.equal(upstream.isAvailable(performance.now()), true);
});
