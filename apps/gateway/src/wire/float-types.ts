/** Kinds of numbers that vLLM's `embed_dtype` knows. */
export const floatTypes = ['float32', 'float16', 'bfloat16', 'fp8_e4m3', 'fp8_e5m2'] as const;
export type FloatType = (typeof floatTypes)[number];

/** The smaller ones: bits of exponent and mantissa; the sign has one more. */
const layouts: Record<Exclude<FloatType, 'float32'>, { exponentBits: number; mantissaBits: number }> = {
  float16: { exponentBits: 5, mantissaBits: 10 },
  bfloat16: { exponentBits: 8, mantissaBits: 7 },
  fp8_e4m3: { exponentBits: 4, mantissaBits: 3 },
  fp8_e5m2: { exponentBits: 5, mantissaBits: 2 },
};

/**
 * The bytes of little-endian float32 numbers as another kind, rounded to the nearest (ties to even), as vLLM does. The
 * numbers are those of unit vectors, so none is too large for any kind.
 */
export function encodeFloats(bytes: Uint8Array, type: FloatType, isBigEndian: boolean): Uint8Array {
  const source = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = bytes.byteLength / 4;
  if (type === 'float32') {
    if (!isBigEndian) return bytes;
    const target = Buffer.from(bytes);
    return target.swap32();
  }
  const layout = layouts[type];
  const size = (1 + layout.exponentBits + layout.mantissaBits) / 8;
  const target = new DataView(new ArrayBuffer(count * size));
  for (let index = 0; index < count; index++) {
    const code = codeOf(source.getUint32(index * 4, true), source.getFloat32(index * 4, true), layout);
    if (size === 1) target.setUint8(index, code);
    else target.setUint16(index * 2, code, !isBigEndian);
  }
  return new Uint8Array(target.buffer);
}

/** The bits of one number. Counted in units of its last place, the carry of rounding runs into the exponent by itself. */
function codeOf(
  bits: number,
  value: number,
  { exponentBits, mantissaBits }: { exponentBits: number; mantissaBits: number },
): number {
  const leastExponent = 2 - 2 ** (exponentBits - 1);
  const exponent = Math.max(((bits >>> 23) & 0xff) - 127, leastExponent);
  const units = roundToEven(Math.abs(value) / 2 ** (exponent - mantissaBits));
  const sign = (bits >>> 31) * 2 ** (exponentBits + mantissaBits);
  return sign + (exponent - leastExponent) * 2 ** mantissaBits + units;
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
