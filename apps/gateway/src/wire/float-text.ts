/**
 * Shortest decimals of float32 numbers, as JSON text. JavaScript prints the shortest text of a *double*
 * (0.0015718605136498809); a float32 needs about half of it (0.0015718605), and both read back as the same float32.
 *
 * A decimal stands for the float32 that it is nearest to, so a text is right when it lies within half a unit in the last
 * place. Nine significant digits always do; we drop digits while the rest still does. All steps are doubles, whose
 * error (1e-16) is far below a float32's half unit (3e-8).
 */

/** Longest text of one number: sign, `0.`, six zeros, nine digits. */
export const maxFloatTextBytes = 24;

const bits = new DataView(new ArrayBuffer(4));
/** Half a unit in the last place for each exponent field of a float32. */
const halfUlps = Float64Array.from({ length: 256 }, (_, exponent) => 2 ** (Math.max(exponent, 1) - 127 - 24));
const powersOfTen = Float64Array.from({ length: 24 }, (_, power) => 10 ** power);

const minus = 0x2d;
const zero = 0x30;
const point = 0x2e;

/** Writes `value` (a finite float32) at `offset` and returns the offset behind it. Needs maxFloatTextBytes of room. */
export function writeFloatText(target: Uint8Array, offset: number, value: number): number {
  const size = Math.abs(value);
  if (!(size >= 1e-6 && size < 1)) return writeSlowly(target, offset, value);
  let at = offset;
  if (value < 0) target[at++] = minus;

  // size * 10^decimals has nine digits before the point
  let decimals = 9;
  for (let limit = 0.1; size < limit; limit /= 10) decimals++;
  const scaled = size * (powersOfTen[decimals] as number);
  bits.setFloat32(0, size);
  const word = bits.getUint32(0);
  const halfUlp = halfUlps[(word >>> 23) & 0xff] as number;
  // At a power of two the gap below is half as wide.
  const isPowerOfTwo = (word & 0x7fffff) === 0;
  const room = halfUlp * (powersOfTen[decimals] as number) * (isPowerOfTwo ? 0.5 : 1) - 1e-6;

  let digits = Math.round(scaled);
  let unit = 1;
  for (;;) {
    const coarser = unit * 10;
    const fewer = Math.round(scaled / coarser);
    if (Math.abs(fewer * coarser - scaled) >= room) break;
    digits = fewer;
    unit = coarser;
    decimals--;
  }
  if (digits >= (powersOfTen[decimals] as number)) return writeSlowly(target, offset, value); // rounded up to 1

  target[at++] = zero;
  target[at++] = point;
  const end = at + decimals;
  for (let place = end - 1; place >= at; place--) {
    const rest = (digits / 10) | 0;
    target[place] = zero + digits - rest * 10;
    digits = rest;
  }
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
