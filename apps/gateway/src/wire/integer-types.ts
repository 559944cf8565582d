/** Kinds of integers that Cohere, Voyage and Jina send vectors in. */
export const integerTypes = ['int8', 'uint8', 'binary', 'ubinary'] as const;
export type IntegerType = (typeof integerTypes)[number];

/**
 * A vector in integers. int8 scales each vector so that its largest number becomes 127 or -127: cosines stay (within 1e-3),
 * lengths do not. uint8 is the same plus 128. ubinary packs a bit for each number, 1 from 0 up, the first one highest;
 * binary is that minus 128. The last byte of a length that is no multiple of 8 is filled with zeros (as numpy's packbits).
 */
export function quantize(vector: Float32Array, type: IntegerType): Int8Array | Uint8Array {
  if (type === 'ubinary') return packBits(vector);
  if (type === 'binary') return Int8Array.from(packBits(vector), byte => byte - 128);
  const largest = vector.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const scale = largest === 0 ? 0 : 127 / largest;
  const scaled = Int8Array.from(vector, value => Math.round(value * scale));
  return type === 'int8' ? scaled : Uint8Array.from(scaled, value => value + 128);
}

function packBits(vector: Float32Array): Uint8Array {
  const packed = new Uint8Array(Math.ceil(vector.length / 8));
  vector.forEach((value, index) => {
    if (value >= 0) packed[index >> 3] = (packed[index >> 3] as number) | (0x80 >> (index & 7));
  });
  return packed;
}
