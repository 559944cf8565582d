import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Admission } from '../../../apps/scheduler/src/admission.ts';

const never = () => new Promise<never>(() => {});

test('the cap is for all keys, a share for one of them', async () => {
  const admission = new Admission(10);
  const small = { keyId: 'small', concurrencyShare: 0.25 };
  for (let time = 0; time < 2; time++) void admission.run(small, never);
  await assert.rejects(admission.run(small, never), { code: 'rate_limit_exceeded', retryAfterMs: 1000 });
  for (const keyId of ['large', 'larger'])
    for (let time = 0; time < 4; time++) void admission.run({ keyId }, never);
  await assert.rejects(admission.run({ keyId: 'large' }, never), { code: 'overloaded' });
  assert.equal(admission.inFlight, 10);
});

test('a permit comes back however the work ends, and a share is one request at least', async () => {
  const admission = new Admission(10);
  const tiny = { keyId: 'tiny', concurrencyShare: 0.001 };
  assert.equal(await admission.run(tiny, async () => 1), 1);
  await assert.rejects(
    admission.run(tiny, async () => {
      throw new Error('failed');
    }),
    /failed/,
  );
  assert.equal(await admission.run(tiny, async () => 2), 2);
  assert.equal(admission.inFlight, 0);
});

test('what had a permit before gets one again, whoever has taken the others meanwhile', async () => {
  const admission = new Admission(2);
  for (let time = 0; time < 2; time++) void admission.run({ keyId: 'newcomer' }, never);
  await assert.rejects(admission.run({ keyId: 'newcomer' }, never), { code: 'overloaded' });
  const replayed = { keyId: 'earlier', concurrencyShare: 0.001, isAdmitted: true };
  assert.equal(await admission.run(replayed, async () => admission.inFlight), 3);
  assert.equal(admission.inFlight, 2);
});

test('keys that have about as much to do fill the cap between them, in whatever order they come', async () => {
  const admission = new Admission(500);
  let refused = 0;
  for (let number = 0; number < 520; number++) {
    // Five keys with 100 each and one with 20, evenly mixed.
    const keyId = number % 26 === 25 ? 'small' : `key ${number % 5}`;
    admission.run({ keyId }, never).catch(() => refused++);
  }
  await Promise.resolve();
  await Promise.resolve();
  assert.deepEqual([admission.inFlight, refused], [500, 20]);
});

test('a key alone may take up the whole cap; beside others one that floods gets nothing of the last fifth', async () => {
  const alone = new Admission(10);
  for (let time = 0; time < 10; time++) void alone.run({ keyId: 'flood' }, never);
  assert.equal(alone.inFlight, 10);

  const shared = new Admission(10);
  void shared.run({ keyId: 'other' }, never);
  for (let time = 0; time < 7; time++) void shared.run({ keyId: 'flood' }, never);
  await assert.rejects(shared.run({ keyId: 'flood' }, never), {
    code: 'overloaded',
    message: /7 of the 8 requests/,
  });
  void shared.run({ keyId: 'other' }, never);
  void shared.run({ keyId: 'third' }, never);
  assert.equal(shared.inFlight, 10);
});

test('who is refused is told how long what is there will take', async () => {
  let drainMs = 4200;
  const admission = new Admission(1, () => drainMs);
  void admission.run({ keyId: 'a' }, never);
  await assert.rejects(admission.run({ keyId: 'b' }, never), {
    retryAfterMs: 4200,
    message: /Try again in 5 s/,
  });
  drainMs = 1e9;
  await assert.rejects(admission.run({ keyId: 'b' }, never), { retryAfterMs: 60_000 });
});
