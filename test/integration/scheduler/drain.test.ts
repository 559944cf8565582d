import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { drain } from '../../../supervisor/src/drain.ts';
import { type FakeModel, startFakeModel } from '../../kit/fake-model.ts';
import { type SmallSystem, startSmallSystem } from '../../kit/small-system.ts';
import { waitFor } from '../../kit/wait-for.ts';

/** A call takes this long on either server. */
const callMs = 1_000;

describe('a model server that its supervisor is about to stop', () => {
  let servers: [FakeModel, FakeModel];
  let reranker: FakeModel;
  let system: SmallSystem;
  const runDir = () => join(system.folder, 'run');

  before(async () => {
    servers = await Promise.all([startFakeModel({ stepMs: callMs }), startFakeModel({ stepMs: callMs })]);
    reranker = await startFakeModel({ role: 'reranker' });
    system = await startSmallSystem({
      embeddingUrls: servers.map(({ url }) => url),
      rerankerUrls: [reranker.url],
      env: { ER_BATCH_MAX_ITEMS: '1' },
    });
  });
  after(async () => {
    await system?.stop();
    await Promise.all([...servers, reranker].map(server => server.stop()));
  });

  it('finishes the calls under way, gets no other, and no request fails', async () => {
    const embed = (text: string) => system.post('/v1/embeddings', { input: text });
    const first = ['a', 'b', 'c', 'd'].map(embed);
    await waitFor('calls on both', async () =>
      (await Promise.all(servers.map(server => server.seen()))).every(({ inFlight }) => inFlight > 0),
    );
    const [drained] = servers;
    let isDrained = false;
    const draining = drain(runDir(), drained.url).then(why => {
      assert.equal(why, null);
      isDrained = true;
    });
    await nextTurn();
    const wasDrained = isDrained;
    if ((await drained.seen()).inFlight > 0) assert.equal(wasDrained, false, 'its calls are under way');
    await draining;
    // Those that it had have come back, and what follows goes elsewhere: the supervisor sends SIGTERM now.
    await drained.stop();
    const rest = ['e', 'f', 'g'].map(embed);
    for (const answer of await Promise.all([...first, ...rest]))
      assert.equal(answer.status, 200, await answer.text());
  });

  it('is used again when it is back, however soon', async () => {
    const isHealthy = async () => (await system.fetch('/health')).status === 200;
    // No supervisor says that it is on trial: its canary must not find it well before it is replaced.
    await reranker.fault({ mode: 'hang', path: '/score' });
    assert.equal(await drain(runDir(), reranker.url), null);
    assert.equal(await isHealthy(), false, 'one server, and that is drained');
    const { port } = reranker;
    await reranker.stop();
    reranker = await startFakeModel({ role: 'reranker', port });
    await waitFor('the model to be ready again', isHealthy);
  });

  it('is not waited for when the scheduler does not run', async () => {
    const begin = performance.now();
    await system.kill('scheduler');
    assert.equal(await drain(runDir(), servers[1].url), 'the scheduler does not answer');
    assert.ok(performance.now() - begin < 3_000);
  });
});
