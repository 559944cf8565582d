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

/** The bytes of a base64 text, in memory of their own, so that float32 can be read in place. */
export function bytesOfBase64(text: string): Uint8Array {
  const bytes = new Uint8Array(Buffer.byteLength(text, 'base64'));
  Buffer.from(bytes.buffer).write(text, 'base64');
  return bytes;
}
