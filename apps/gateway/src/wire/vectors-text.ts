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

/** A vector as the part of a body that prints it as a JSON array of numbers. */
export const floatsAsJson = (bytes: Uint8Array) =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** float32 numbers of a result as they stand in its bytes, wherever those begin. */
export function floatsOf(bytes: Uint8Array): Float32Array {
  if (bytes.byteOffset % 4 === 0)
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  return new Float32Array(new Uint8Array(bytes).buffer); // a copy; Buffer.slice would be none
}

/** One vector in base64 of little-endian float32, as the OpenAI SDKs ask for it. */
export function vectorToBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
