import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Admission } from '../../../apps/scheduler/src/admission.ts';

const never = () => new Promise<never>(() => {});

test('the cap is for all keys, a share for one of them', async () => {
  const admission = new Admission(10);
  const small = { keyId: 'small', concurrencyShare: 0.25 };
  for (let time = 0; time < 2; time++) void admission.run(small, never);
  await assert.rejects(admission.run(small, never), { code: 'rate_limit_exceeded', retryAfterMs: 1000 });
  for (let time = 0; time < 8; time++) void admission.run({ keyId: 'large' }, never);
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
