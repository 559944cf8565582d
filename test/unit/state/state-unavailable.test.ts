import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import { answerWithin } from '@er-gateway/shared/state/state-unavailable';

describe('answerWithin', () => {
  it('hides what went wrong from the caller and keeps it as the cause', async () => {
    const cause = new Error('connect ECONNREFUSED 10.0.0.7:6379');
    const error = await answerWithin(100, Promise.reject(cause)).catch((thrown: unknown) => thrown);
    assert.ok(error instanceof RequestError);
    assert.equal(error.code, 'state_unavailable');
    assert.equal(error.cause, cause);
    assert.doesNotMatch(error.message, /10\.0\.0\.7/);
  });

  it('takes an answer that came while this process was busy, past the time-out', async () => {
    const { port1, port2 } = new MessageChannel();
    const answer = new Promise<string>(resolve => {
      port1.once('message', resolve);
    });
    const result = answerWithin(5, answer);
    port2.postMessage('in time');
    const busyUntil = performance.now() + 50;
    while (performance.now() < busyUntil);
    assert.equal(await result, 'in time');
    port1.close();
  });

  it('does not count the time in which this process was busy', async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const result = answerWithin(400, promise);
    const busyUntil = performance.now() + 800;
    while (performance.now() < busyUntil);
    setTimeout(resolve, 100, 'in time');
    assert.equal(await result, 'in time');
  });

  it('gives up on an answer that never comes', async () => {
    await assert.rejects(answerWithin(5, new Promise(() => {})), { code: 'state_unavailable' });
  });
});
