import assert from 'node:assert/strict';
import { beforeEach, describe, it, type TestContext } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { memoryRateLimits } from '@er-gateway/shared/state/rate-limits';
import { RequestLoans } from '@er-gateway/shared/state/request-loans';
import { stateUnavailable } from '@er-gateway/shared/state/state-unavailable';
import type { RateLimit, StateStore } from '@er-gateway/shared/state/store';

const plenty: RateLimit = { points: 100_000, windowSeconds: 60 };
const id = 'key';

describe('RequestLoans', () => {
  let counters: ReturnType<typeof memoryRateLimits>;
  let calls: number[];
  let isAway: boolean;
  let store: Pick<StateStore, 'consume'>;

  /** Its clock and timers are the test's; what was begun in the background is over after a turn of the event loop. */
  const create = (t: TestContext, workers = 2) => {
    t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: Date.parse('2026-11-30T12:00:00Z') });
    const worker = () => new RequestLoans({ store, workers, now: () => Date.now() });
    /** Time goes on, and answers of the store come in. */
    const pass = async (ms: number) => {
      t.mock.timers.tick(ms);
      await nextTurn();
    };
    /** A request each millisecond. */
    const makeMany = async (loans: RequestLoans, count: number, limit: RateLimit) => {
      for (let sent = 0; sent < count; sent++) {
        await loans.consume(id, limit, 1);
        await pass(1);
      }
    };
    return { worker, pass, makeMany };
  };
  const used = async (limit = plenty) => limit.points - (await counters.consume(id, limit, 0)).remaining;

  beforeEach(() => {
    counters = memoryRateLimits();
    calls = [];
    isAway = false;
    store = {
      consume: async (keyId, limit, cost) => {
        calls.push(cost);
        if (isAway) throw stateUnavailable(new Error('gone'));
        return counters.consume(keyId, limit, cost);
      },
    };
  });

  it('charges a key that asks seldom request by request', async t => {
    const { worker, pass } = create(t);
    const loans = worker();
    for (let sent = 1; sent <= 20; sent++) {
      const outcome = await loans.consume(id, plenty, 1);
      assert.equal(outcome.remaining, plenty.points - sent);
      await pass(100);
    }
    assert.deepEqual(calls, Array(20).fill(1));
  });

  it('charges a key that asks often ahead, and the count is exact once it stops', async t => {
    const { worker, pass } = create(t);
    const loans = worker();
    const remaining: number[] = [];
    for (let sent = 1; sent <= 2000; sent++) {
      const outcome = await loans.consume(id, plenty, 1);
      assert.equal(outcome.isAllowed, true);
      remaining.push(outcome.remaining);
      await pass(1);
    }
    assert.ok(calls.length < 60, `${calls.length} trips for 2000 requests`);
    assert.equal(remaining.at(-1), plenty.points - 2000, 'what is lent and left is left for the caller');
    assert.ok((await used()) > 2000);
    await pass(250);
    assert.equal(await used(), 2000);
  });

  it('makes no more trips than requests, however many come and then none', async t => {
    const { worker, pass } = create(t);
    for (let count = 1; count <= 64; count++) {
      const loans = worker();
      calls = [];
      for (let sent = 0; sent < count; sent++) {
        await loans.consume(id, plenty, 1);
        if (count % 2) await pass(1);
      }
      await pass(300);
      await pass(300);
      const trips = calls.reduce((sum, cost) => sum + (cost < 0 ? 2 : 1), 0);
      assert.ok(trips <= count, `${trips} trips for ${count} requests`);
    }
  });

  it('borrows once for requests that come together', async t => {
    const { worker } = create(t);
    const loans = worker();
    for (let sent = 0; sent < 8; sent++) await loans.consume(id, plenty, 1);
    await Promise.all(Array.from({ length: 100 }, () => loans.consume(id, plenty, 1)));
    assert.equal(calls.filter(cost => cost > 1).length, 1);
  });

  it('judges its request alone when others have used up what it would borrow', async t => {
    const { worker } = create(t, 1);
    const limit = { points: 1000, windowSeconds: 60 };
    const loans = worker();
    for (let sent = 0; sent < 8; sent++) await loans.consume(id, limit, 1);
    await counters.consume(id, limit, 990);
    const [one, two, three] = [1, 2, 3].map(() => () => loans.consume(id, limit, 1));
    assert.deepEqual(
      [await one?.(), await two?.(), await three?.()].map(outcome => outcome?.isAllowed),
      [true, true, false],
    );
  });

  it('answers exactly the limit, whoever of four workers is asked', async t => {
    const limit = { points: 1000, windowSeconds: 60 };
    const { worker, pass } = create(t, 4);
    const workers = Array.from({ length: 4 }, worker);
    let allowed = 0;
    let lastAllowed = 0;
    for (let round = 0; round < 1500; round++) {
      const loans = workers[(round * 7) % 4] as RequestLoans;
      if ((await loans.consume(id, limit, 1)).isAllowed) {
        allowed++;
        lastAllowed = round;
      }
      if (round % 4 === 0) await pass(1);
    }
    assert.ok(
      calls.some(cost => cost > 1),
      'it was charged ahead while there was plenty',
    );
    assert.equal(allowed, 1000);
    assert.equal(lastAllowed, 999, 'nobody was refused before the limit');
  });

  it('charges nothing ahead when the part of each worker of what is left is small', async t => {
    const { worker, makeMany } = create(t, 64);
    const loans = worker();
    await makeMany(loans, 200, { points: 100, windowSeconds: 60 });
    assert.deepEqual(calls, Array(200).fill(1));
  });

  it('takes nothing from one window to the next', async t => {
    const short = { points: 100_000, windowSeconds: 1 };
    const { worker, pass, makeMany } = create(t);
    const loans = worker();
    await makeMany(loans, 900, short);
    await pass(150);
    assert.equal(await used(short), 0, 'a new window');
    assert.equal((await loans.consume(id, short, 1)).remaining, short.points - 1);
    assert.ok(
      calls.every(cost => cost > 0),
      'nothing is given back so close to the end of a window',
    );
  });

  it('asks again at once when the limit of the key was changed', async t => {
    const { worker, makeMany } = create(t);
    const loans = worker();
    await makeMany(loans, 100, plenty);
    const outcome = await loans.consume(id, { points: 50, windowSeconds: 60 }, 1);
    assert.deepEqual([outcome.isAllowed, outcome.limit, outcome.remaining], [false, 50, 0]);
  });

  it('goes on while the store is away for as long as it was lent, and fails after that', async t => {
    const { worker, pass, makeMany } = create(t);
    const loans = worker();
    await makeMany(loans, 100, plenty);
    isAway = true;
    assert.equal((await loans.consume(id, plenty, 1)).isAllowed, true);
    await pass(250);
    await assert.rejects(loans.consume(id, plenty, 1), { code: 'state_unavailable' });
    isAway = false;
    assert.equal((await loans.consume(id, plenty, 1)).isAllowed, true);
  });

  it('only asks for cost 0', async t => {
    const { worker } = create(t);
    assert.equal((await worker().consume(id, plenty, 0)).remaining, plenty.points);
    assert.deepEqual(calls, [0]);
  });
});
