/**
 * Shortest decimals of float32 numbers, as JSON text. JavaScript prints the shortest text of a *double*
 * (0.0015718605136498809); a float32 needs about half of it (0.0015718605), and both read back as the same float32.
 *
 * A decimal stands for the float32 that it is nearest to, so a text is right when it lies within half a unit in the last
 * place. Nine significant digits always do; we drop digits while the rest still does. All steps are doubles, whose
 * error (1e-16) is far below a float32's half unit (3e-8).
 */

/** Longest text of one number and its comma: sign, `0.`, six zeros, nine digits; and what is written beyond it and overwritten. */
const maxNumberBytes = 25;

/** Room that the text of a vector of so many numbers needs while it is written; it becomes about half as long. */
export const maxVectorTextBytes = (dimensions: number) => dimensions * maxNumberBytes + 2;

const powersOfTen = Float64Array.from({ length: 24 }, (_, power) => 10 ** power);
const inversePowersOfTen = Float64Array.from({ length: 24 }, (_, power) => 10 ** -power);

/** Exponent fields of the numbers that are written fast: from 2^-20 to below 1. */
const leastExponent = 107;
const mostExponent = 126;
/** By exponent field: half a unit in the last place. */
const halfUlps = new Float64Array(256);
/** By exponent field: the decimals after which its smallest number has nine digits before the point. */
const decimalsOf = new Int32Array(256);
/** By exponent field: the power of ten from which on its numbers need one decimal less. */
const nextPowers = new Float64Array(256);
for (let exponent = leastExponent; exponent <= mostExponent; exponent++) {
  const smallest = 2 ** (exponent - 127);
  const magnitude = Math.floor(Math.log10(smallest));
  halfUlps[exponent] = smallest * 2 ** -24;
  decimalsOf[exponent] = 8 - magnitude;
  nextPowers[exponent] = 10 ** (magnitude + 1);
}

const [openBracket, comma, closeBracket] = [0x5b, 0x2c, 0x5d];

const fourCharacters = (text: string) => Buffer.from(text, 'latin1').readUInt32BE();
/** `0.` and `-0.`, by the sign bit. */
const prefixes = Uint32Array.of(fourCharacters('0.\0\0'), fourCharacters('-0.\0'));
/** `0000` to `9999`. */
const digitQuads = Uint32Array.from({ length: 10_000 }, (_, number) =>
  fourCharacters(String(number).padStart(4, '0')),
);

/**
 * Writes a vector (finite float32, little endian, at any address) as a JSON array at `offset`, and returns the offset behind
 * it. Needs maxVectorTextBytes of room. One function for all numbers: handed to another one, each would be an object on the
 * heap. Tables by exponent and blocks of four digits keep it free of branches that a processor cannot foresee: those were
 * half of its time.
 */
export function writeVectorText(target: DataView, offset: number, vector: DataView): number {
  let at = offset;
  for (let place = 0; place < vector.byteLength; place += 4) {
    target.setUint8(at++, place > 0 ? comma : openBracket);
    const value = vector.getFloat32(place, true);
    const bits = vector.getInt32(place, true);
    const exponent = (bits >>> 23) & 0xff;
    if (exponent < leastExponent || exponent > mostExponent) {
      at = writeSlowly(target, at, value);
      continue;
    }

    let decimals = decimalsOf[exponent] as number;
    const size = Math.abs(value);
    if (size >= (nextPowers[exponent] as number)) decimals--;
    const power = powersOfTen[decimals] as number;
    const scaled = size * power;
    // At a power of two the gap below is half as wide.
    const gap = (bits & 0x7fffff) === 0 ? 0.5 : 1;
    const room = (halfUlps[exponent] as number) * power * gap - 1e-6;

    let digits = (scaled + 0.5) | 0;
    for (let dropped = 1; dropped < 9; dropped++) {
      const fewer = (scaled * (inversePowersOfTen[dropped] as number) + 0.5) | 0;
      if (Math.abs(fewer * (powersOfTen[dropped] as number) - scaled) >= room) break;
      digits = fewer;
      decimals--;
    }
    if (digits >= (powersOfTen[decimals] as number)) {
      at = writeSlowly(target, at, value); // rounded up to 1
      continue;
    }

    const sign = bits >>> 31;
    target.setUint32(at, prefixes[sign] as number);
    at += 2 + sign;
    // Sixteen decimals, exact below 2^53, in four blocks; what is behind the last digit is overwritten by what comes next.
    const all = digits * (powersOfTen[16 - decimals] as number);
    const high = Math.floor(all / 1e8);
    const low = (all - high * 1e8) | 0;
    const first = (high / 1e4) | 0;
    const third = (low / 1e4) | 0;
    target.setUint32(at, digitQuads[first] as number);
    target.setUint32(at + 4, digitQuads[((high | 0) - first * 10_000) | 0] as number);
    target.setUint32(at + 8, digitQuads[third] as number);
    target.setUint32(at + 12, digitQuads[(low - third * 10_000) | 0] as number);
    at += decimals;
  }
  if (at === offset) target.setUint8(at++, openBracket);
  target.setUint8(at++, closeBracket);
  return at;
}

/** Numbers of 1 and more, zero, and very small ones: rare in unit vectors. */
function writeSlowly(target: DataView, offset: number, value: number): number {
  const text = floatText(value);
  for (let index = 0; index < text.length; index++) target.setUint8(offset + index, text.charCodeAt(index));
  return offset + text.length;
}

/** The shortest text that reads back as this float32. */
function floatText(value: number): string {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return String(short);
  }
  return String(Number(value.toPrecision(9)));
}
