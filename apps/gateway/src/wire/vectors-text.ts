import { maxFloatTextBytes, writeFloatText } from './float-text.ts';

/** float32 numbers of a result as they stand in its bytes, wherever those begin. */
export function floatsOf(bytes: Uint8Array): Float32Array {
  if (bytes.byteOffset % 4 === 0)
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  return new Float32Array(new Uint8Array(bytes).buffer); // a copy; Buffer.slice would be none
}

/** One vector as a JSON array of numbers, each the shortest text of its float32. */
export function vectorToJson(vector: Float32Array): Buffer {
  const target = Buffer.allocUnsafe(vector.length * (maxFloatTextBytes + 1) + 2);
  let at = 0;
  target[at++] = 0x5b; // [
  for (let index = 0; index < vector.length; index++) {
    if (index > 0) target[at++] = 0x2c; // ,
    at = writeFloatText(target, at, vector[index] as number);
  }
  target[at++] = 0x5d; // ]
  return target.subarray(0, at);
}

/** One vector in base64 of little-endian float32, as the OpenAI SDKs ask for it. */
export function vectorToBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
