import { maxFloatTextBytes, writeFloatText } from './float-text.ts';

/** The bytes of each vector of a result. */
export function* vectorsOf({
  vectors,
  dimensions,
}: {
  vectors: Uint8Array;
  dimensions: number;
}): Iterable<Uint8Array> {
  const size = dimensions * 4;
  for (let start = 0; start < vectors.byteLength; start += size) yield vectors.subarray(start, start + size);
}

/** Integers as a JSON array. */
export const numbersToJson = (numbers: Int8Array | Uint8Array) => `[${numbers.join(',')}]`;

/** float32 numbers of a result as they stand in its bytes, wherever those begin. */
export function floatsOf(bytes: Uint8Array): Float32Array {
  if (bytes.byteOffset % 4 === 0)
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  return new Float32Array(new Uint8Array(bytes).buffer); // a copy; Buffer.slice would be none
}

/** Room for the text of one vector: a buffer for each would cost more than to copy the text out of one. */
let scratch = Buffer.alloc(0);
let scratchView = new DataView(scratch.buffer);

function useScratch(bytes: number): void {
  scratch = Buffer.allocUnsafeSlow(bytes);
  scratchView = new DataView(scratch.buffer);
}

/** One vector as a JSON array of numbers, each the shortest text of its float32. */
export function vectorToJson(vector: Float32Array): string {
  const wanted = vector.length * (maxFloatTextBytes + 1) + 2;
  if (scratch.length < wanted) useScratch(wanted);
  let at = 0;
  for (let index = 0; index < vector.length; index++) {
    scratch[at++] = index > 0 ? 0x2c : 0x5b; // , or [
    at = writeFloatText(scratchView, at, vector[index] as number);
  }
  scratch[at++] = 0x5d; // ]
  return scratch.toString('latin1', 0, at);
}

/** One vector in base64 of little-endian float32, as the OpenAI SDKs ask for it. */
export function vectorToBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
