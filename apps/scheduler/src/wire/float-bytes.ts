import { endianness } from 'node:os';

// Vectors travel as float32, little endian, and are read in place.
if (endianness() !== 'LE') throw new Error('er-gateway needs a little-endian machine (x86-64, arm64)');

/** Whether every float32 in these bytes is finite. Reads exponents only: all ones mean infinity or not a number. */
export function areFinite(bytes: Uint8Array): boolean {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  for (let index = 0; index < words.length; index++) {
    if (((words[index] as number) & 0x7f800000) === 0x7f800000) return false;
  }
  return true;
}

/** The part of an answer that is one item's, in memory of its own: a view would keep the whole answer alive. */
export function ownBytes(answer: Uint8Array, start: number, end: number): Uint8Array {
  const own = new Uint8Array(end - start);
  own.set(answer.subarray(start, end));
  return own;
}
