import { sharedInt32Array } from './tokenizer-tables.ts';

/**
 * The merges as a hash table in one Int32Array: open addressing, four numbers a slot (left id + 1 or 0 when empty, right
 * id, rank, id of the merged token). The lower the rank, the earlier a pair is merged.
 */
export type MergeTable = Int32Array;

export interface Merge {
  left: number;
  right: number;
  merged: number;
}

const slotSize = 4;

/** The table of these merges; a merge's rank is its index. */
export function createMergeTable(merges: readonly Merge[]): MergeTable {
  let slots = 1024;
  // At most a third full: most look-ups are of pairs that do not exist, and must soon meet an empty slot.
  while (slots < merges.length * 3) slots *= 2;
  const table = sharedInt32Array(slots * slotSize);
  merges.forEach(({ left, right, merged }, rank) => {
    let at = firstSlot(left, right, table.length);
    while (table[at] !== 0) at = (at + slotSize) % table.length;
    table.set([left + 1, right, rank, merged], at);
  });
  return table;
}

/** Where the merge of two ids stands in the table: its rank is at +2, the merged id at +3. -1 when they do not merge. */
export function findMerge(table: MergeTable, left: number, right: number): number {
  const mask = table.length - 1;
  const key = left + 1;
  for (let at = firstSlot(left, right, table.length); ; at = (at + slotSize) & mask) {
    const found = table[at];
    if (found === key && table[at + 1] === right) return at;
    if (found === 0) return -1;
  }
}

/** Both multipliers are odd and large, so that neighbouring ids come to lie far apart. */
function firstSlot(left: number, right: number, length: number): number {
  const hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
  return ((hash ^ (hash >>> 15)) * slotSize) & (length - 1);
}
