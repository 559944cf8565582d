import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import { createLogger } from '@er-gateway/shared/logger';
import { memoryRateLimits } from '@er-gateway/shared/state/rate-limits';
import { ResilientStore } from '@er-gateway/shared/state/resilient-store';
import { FailureGuard } from '../../../apps/gateway/src/request/failure-guard.ts';
import { FakeStore } from '../state/fake-store.ts';

const isBlocked = (error: unknown) => error instanceof RequestError && error.code === 'too_many_failures';

/** Workers whose guards count in one store; so many failures of one address at once that nobody waits long. */
function workers(count: number) {
  const limits = memoryRateLimits();
  const store = {
    isStoreUp: true,
    consume: (id: string, limit: { points: number; windowSeconds: number }, cost: number) =>
      limits.consume(id, limit, cost),
  };
  return Array.from({ length: count }, () => new FailureGuard(store));
}
const guesses = (guard: FailureGuard | undefined, addressOf: (number: number) => string, count: number) =>
  Promise.all(
    Array.from({ length: count }, (_, number) =>
      guard?.failed(addressOf(number), `${number} ${Math.random()}`).catch(() => {}),
    ),
  );

describe('FailureGuard', () => {
  it('counts guesses over all workers, and each refuses those that come after its own thousandth', async t => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const [one, other] = workers(2);
    void guesses(one, () => '192.0.2.1', 600);
    void guesses(other, () => '192.0.2.1', 600);
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    await assert.rejects(async () => other?.failed('192.0.2.1', 'one more'), isBlocked);
    void one?.failed('192.0.2.1', 'told by the store');
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    await assert.rejects(async () => one?.failed('192.0.2.1', 'one more'), isBlocked);
    await other?.failed('192.0.2.2', 'somebody else');
  });

  it('counts an IPv6 network of 64 bits as one', async t => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const [guard] = workers(1);
    void guesses(guard, number => `2001:db8:0:7::${number.toString(16)}`, 1000);
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    await assert.rejects(async () => guard?.failed('2001:db8::7:a:b:c:d', 'one more'), isBlocked);
    await guard?.failed('2001:db8:0:8::1', 'the network beside it');
  });

  it('blocks nobody for a typing error while the store is away', async t => {
    const logger = createLogger('test', 'info');
    logger.silent = true;
    const away = new FakeStore();
    away.isAway = true;
    const store = new ResilientStore({ store: away, workers: 64, logger });
    t.after(() => store.close());
    const guard = new FailureGuard(store);
    await guard.failed('192.0.2.1', 'a typing error');
    await guard.failed('192.0.2.1', 'another one');
  });
});
