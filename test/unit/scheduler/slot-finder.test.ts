import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SlotFinder } from '../../../apps/scheduler/src/batch/slot-finder.ts';
import { seededRandom } from '../../bench/load/random.ts';

/** A server under closed-loop load: how long a call of `items` takes while `slots` are under way. */
type Server = (items: number, slots: number) => number;

/** One batch at a time, 17 ms a call and 1 ms a text: large batches win (vLLM's CPU build on two cores). */
const computesAlone: Server = (items, slots) => slots * (17 + items);
/** The next call's parsing overlaps with the engine: two calls win (vLLM on a GPU). */
const overlaps: Server = (items, slots) =>
  slots === 1 ? 4 + items * 0.5 : Math.max(slots * items * 0.27, 10) + slots;

/** Plays 64 callers for a while and returns the share of calls that were made with each number of slots. */
function play(
  finder: SlotFinder,
  server: Server,
  { from = 0, ms = 120_000, callers = 64, noise = 0.2 } = {},
) {
  const random = seededRandom(7);
  const shares: Record<number, number> = {};
  let now = from;
  while (now < from + ms) {
    const { slots } = finder;
    const items = Math.max(1, Math.round(callers / slots));
    const durationMs = server(items, slots) * (1 - noise + 2 * noise * random());
    now += durationMs / slots;
    if (now > from + ms / 2) shares[slots] = (shares[slots] ?? 0) + durationMs / slots / (ms / 2);
    finder.ended(now, { tokens: items * 10, items, durationMs, inSystemMs: items * durationMs });
  }
  return shares;
}

/** When a call that begins now will end; `freeAt` is when the one before it will. */
type CallEnd = (now: number, items: number, freeAt: number) => number;

/** Computes one call after the other, 5 ms a text, after 8 ms that overlap with others' computing (six layers on two cores). */
const oneByOne: CallEnd = (now, items, freeAt) => Math.max(now + 8, freeAt) + items * 5;
/** Steps of 15 ms take in all that has come, after 1 ms (vLLM on a GPU). */
const inSteps: CallEnd = now => 15 * Math.ceil((now + 1) / 15) + 15;

/** Plays random arrivals before a server, and returns the mean time in the system in milliseconds. */
function playRandomArrivals(
  callEnd: CallEnd,
  slotsNow: () => number,
  perSecond: number,
  ended?: SlotFinder['ended'],
): number {
  const random = seededRandom(11);
  const playMs = 120_000;
  const total = { items: 0, ms: 0 };
  const waiting: number[] = [];
  const underWay: { endsAt: number; startedAt: number; arrivals: number[] }[] = [];
  let now = 0;
  let nextArrivalAt = 0;
  let serverIsFreeAt = 0;
  while (now < playMs) {
    const [first] = underWay;
    now = Math.min(nextArrivalAt, first?.endsAt ?? Number.POSITIVE_INFINITY);
    if (now === nextArrivalAt) {
      waiting.push(now);
      nextArrivalAt += (-Math.log(1 - random()) * 1000) / perSecond;
    } else if (first) {
      underWay.shift();
      const inSystemMs = first.arrivals.reduce((sum, arrival) => sum + now - arrival, 0);
      const items = first.arrivals.length;
      total.items += items;
      total.ms += inSystemMs;
      ended?.(now, { tokens: items * 10, items, durationMs: now - first.startedAt, inSystemMs });
    }
    if (waiting.length === 0 || underWay.length >= slotsNow()) continue;
    const arrivals = waiting.splice(0, 64);
    serverIsFreeAt = callEnd(now, arrivals.length, serverIsFreeAt);
    underWay.push({ endsAt: serverIsFreeAt, startedAt: now, arrivals });
  }
  return total.ms / total.items;
}

/** The same with the number of calls that a finder finds meanwhile. */
const findUnderRandomArrivals = (finder: SlotFinder, callEnd: CallEnd, perSecond: number) =>
  playRandomArrivals(
    callEnd,
    () => finder.slots,
    perSecond,
    (now, call) => finder.ended(now, call),
  );

describe('the number of calls under way', () => {
  test('becomes one where large batches win', () => {
    const shares = play(new SlotFinder(), computesAlone);
    assert.ok((shares[1] ?? 0) > 0.7, JSON.stringify(shares));
    assert.equal(shares[16], undefined, 'as many calls as for single texts were tried');
  });

  test('is found within seconds where it makes a plain difference', () => {
    const finder = new SlotFinder();
    play(finder, computesAlone, { ms: 10_000 });
    assert.equal(finder.slots, 1);
  });

  test('becomes more where calls overlap', () => {
    const shares = play(new SlotFinder(), overlaps);
    assert.ok((shares[1] ?? 0) < 0.2, JSON.stringify(shares));
  });

  test('is as large as for single texts no longer when more comes', () => {
    const finder = new SlotFinder();
    findUnderRandomArrivals(finder, inSteps, 500);
    assert.equal(finder.slots, 16);
    const shares = play(finder, overlaps, { from: 120_000 });
    assert.equal(shares[16], undefined, JSON.stringify(shares));
  });

  test('follows when that changes', () => {
    const finder = new SlotFinder();
    play(finder, computesAlone);
    const shares = play(finder, overlaps, { from: 120_000 });
    assert.ok((shares[1] ?? 0) < 0.2, JSON.stringify(shares));
  });

  test('is enough for each item, without trials, while there is little to do', () => {
    assert.deepEqual(Object.keys(play(new SlotFinder(), computesAlone, { callers: 2 })), ['4']);
  });

  test('is found too when a period lasts longer than a lull', () => {
    const slow: Server = (items, slots) => 40 * computesAlone(items, slots);
    const shares = play(new SlotFinder(), slow, { ms: 40 * 120_000 });
    assert.ok((shares[1] ?? 0) > 0.7, JSON.stringify(shares));
  });

  test('is found without making random arrivals wait', () => {
    for (const perSecond of [40, 100, 160]) {
      const found = findUnderRandomArrivals(new SlotFinder(), oneByOne, perSecond);
      const [one = 0, two = 0] = [1, 2].map(slots => playRandomArrivals(oneByOne, () => slots, perSecond));
      assert.ok(found < 1.05 * two && two < one, JSON.stringify({ perSecond, found, one, two }));
    }
  });

  test('becomes large where a server takes in whatever comes', () => {
    for (const perSecond of [50, 200, 500, 800]) {
      const found = findUnderRandomArrivals(new SlotFinder(), inSteps, perSecond);
      const [two = 0, most = 0] = [2, 16].map(slots => playRandomArrivals(inSteps, () => slots, perSecond));
      assert.ok(found < 1.15 * most && found < 0.85 * two, JSON.stringify({ perSecond, found, two, most }));
    }
  });
});
