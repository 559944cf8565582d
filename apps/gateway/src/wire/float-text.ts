/**
 * Shortest decimals of float32 numbers, as JSON text. JavaScript prints the shortest text of a *double*
 * (0.0015718605136498809); a float32 needs about half of it (0.0015718605), and both read back as the same float32.
 *
 * A decimal stands for the float32 that it is nearest to, so a text is right when it lies within half a unit in the last
 * place. Nine significant digits always do; we drop digits while the rest still does. All steps are doubles, whose
 * error (1e-16) is far below a float32's half unit (3e-8). Integers stay below 2^31, where V8 computes without doubles.
 */

/** Longest text of one number: sign, `0.`, six zeros, nine digits. */
export const maxFloatTextBytes = 24;

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);
/** Half a unit in the last place for each exponent field of a float32. */
const halfUlps = Float64Array.from({ length: 256 }, (_, exponent) => 2 ** (Math.max(exponent, 1) - 127 - 24));
const powersOfTen = Float64Array.from({ length: 24 }, (_, power) => 10 ** power);
const inversePowersOfTen = Float64Array.from({ length: 24 }, (_, power) => 10 ** -power);
/** `00` to `99` as two characters each. */
const digitPairs = Uint8Array.from({ length: 200 }, (_, place) => {
  const pair = place >> 1;
  return 0x30 + (place % 2 === 0 ? Math.floor(pair / 10) : pair % 10);
});

const minus = 0x2d;
const zero = 0x30;
const point = 0x2e;

/** Writes `value` (a finite float32) at `offset` and returns the offset behind it. Needs maxFloatTextBytes of room. */
export function writeFloatText(target: Uint8Array, offset: number, value: number): number {
  const size = value < 0 ? -value : value;
  if (!(size >= 1e-6 && size < 1)) return writeSlowly(target, offset, value);

  // size * 10^decimals has nine digits before the point
  let decimals =
    size >= 0.1 ? 9 : size >= 0.01 ? 10 : size >= 0.001 ? 11 : size >= 1e-4 ? 12 : size >= 1e-5 ? 13 : 14;
  const scaled = size * (powersOfTen[decimals] as number);
  float[0] = size;
  const bits = word[0] as number;
  // At a power of two the gap below is half as wide.
  const gap = (bits & 0x7fffff) === 0 ? 0.5 : 1;
  const room = (halfUlps[bits >>> 23] as number) * (powersOfTen[decimals] as number) * gap - 1e-6;

  let digits = (scaled + 0.5) | 0;
  for (let dropped = 1; dropped < 9; dropped++) {
    const fewer = (scaled * (inversePowersOfTen[dropped] as number) + 0.5) | 0;
    const distance = fewer * (powersOfTen[dropped] as number) - scaled;
    if (distance >= room || distance <= -room) break;
    digits = fewer;
    decimals--;
  }
  if (digits >= (powersOfTen[decimals] as number)) return writeSlowly(target, offset, value); // rounded up to 1

  let at = offset;
  if (value < 0) target[at++] = minus;
  target[at++] = zero;
  target[at++] = point;
  const end = at + decimals;
  let place = end;
  while (place - at >= 2) {
    const rest = (digits / 100) | 0;
    const pair = (digits - rest * 100) << 1;
    target[--place] = digitPairs[pair + 1] as number;
    target[--place] = digitPairs[pair] as number;
    digits = rest;
  }
  if (place > at) target[at] = zero + digits;
  return end;
}

/** Numbers of 1 and more, zero, and very small ones: rare in unit vectors. */
function writeSlowly(target: Uint8Array, offset: number, value: number): number {
  const text = floatText(value);
  for (let index = 0; index < text.length; index++) target[offset + index] = text.charCodeAt(index);
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
