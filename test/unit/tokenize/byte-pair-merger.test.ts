import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BytePairMerger } from '../../../apps/scheduler/src/tokenize/byte-pair-merger.ts';
import { createMergeTable, type Merge } from '../../../apps/scheduler/src/tokenize/merge-table.ts';

/** Pairs of ids 0 to 3 and of what they make; the index is the rank. */
const merges: Merge[] = [
  { left: 0, right: 0, merged: 4 },
  { left: 1, right: 2, merged: 5 },
  { left: 4, right: 4, merged: 6 },
  { left: 2, right: 0, merged: 7 },
  { left: 5, right: 4, merged: 8 },
  { left: 4, right: 1, merged: 9 },
  { left: 7, right: 0, merged: 10 },
  { left: 6, right: 8, merged: 11 },
];

test('merges the pair of the lowest rank first, the leftmost of equal ones, until none is left', () => {
  const merger = new BytePairMerger(createMergeTable(merges));
  for (const piece of randomPieces()) {
    const tokens = Int32Array.from(piece);
    const count = merger.merge(tokens);
    assert.deepEqual([...tokens.subarray(0, count)], mergeSlowly(piece), `of ${piece}`);
  }
});

test('merges a piece of a million bytes in time that hardly grows faster than its length', () => {
  const merger = new BytePairMerger(createMergeTable(merges));
  const tokens = new Int32Array(1_000_000);
  // The square of the length would be hours.
  assert.equal(merger.merge(tokens), 250_000);
  assert.ok(tokens.subarray(0, 250_000).every(id => id === 6));
});

/** As the algorithm is defined: look through all pairs again after each merge. */
function mergeSlowly(piece: readonly number[]): number[] {
  const ids = [...piece];
  for (;;) {
    const rankAt = (at: number) =>
      merges.findIndex(({ left, right }) => left === ids[at] && right === ids[at + 1]);
    let best = -1;
    for (let at = 0; at + 1 < ids.length; at += 1)
      if (rankAt(at) !== -1 && (best === -1 || rankAt(at) < rankAt(best))) best = at;
    const merge = merges[rankAt(best)];
    if (best === -1 || merge === undefined) return ids;
    ids.splice(best, 2, merge.merged);
  }
}

function randomPieces(): number[][] {
  let state = 7;
  const below = (limit: number) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >> 8) % limit;
  };
  return Array.from({ length: 2000 }, () => Array.from({ length: 1 + below(40) }, () => below(4)));
}
