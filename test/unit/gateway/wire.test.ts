import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseCoding } from '../../../apps/gateway/src/wire/content-coding.ts';
import { encodeFloats } from '../../../apps/gateway/src/wire/float-types.ts';
import { quantize } from '../../../apps/gateway/src/wire/integer-types.ts';

const bytesOf = (...values: number[]) => new Uint8Array(new Float32Array(values).buffer);

for (const [type, value, hex] of [
  ['float16', 1, '003c'],
  ['float16', -0.1, '66ae'],
  ['float16', 2 ** -25, '0000'], // a tie between zero and the smallest: even is zero
  ['float16', 3 * 2 ** -25, '0200'], // a tie again
  ['float16', 0.99999, '003c'], // the carry of rounding runs into the exponent
  ['bfloat16', 1, '803f'],
  ['bfloat16', -0.1, 'cdbd'],
  ['bfloat16', 0, '0000'],
  ['fp8_e4m3', 1, '38'],
  ['fp8_e4m3', -0.1, '9d'],
  ['fp8_e4m3', 2 ** -9, '01'],
  ['fp8_e5m2', 1, '3c'],
  ['fp8_e5m2', -0.1, 'ae'],
  ['float32', -0.5, '000000bf'],
] as const) {
  test(`${value} as ${type} is ${hex}`, () => {
    assert.equal(Buffer.from(encodeFloats(bytesOf(value), type, false)).toString('hex'), hex);
    const swapped = Buffer.from(encodeFloats(bytesOf(value), type, true))
      .reverse()
      .toString('hex');
    assert.equal(swapped, hex);
  });
}

test('small floats are within half a unit of the last place, for numbers of all sizes', () => {
  const values = Float32Array.from({ length: 4000 }, (_, index) => Math.sin(index) * 2 ** (-index / 300));
  const source = new Uint8Array(values.buffer);
  const coded = new DataView(encodeFloats(source, 'bfloat16', false).buffer as ArrayBuffer);
  values.forEach((value, index) => {
    const back = new DataView(new ArrayBuffer(4));
    back.setUint32(0, coded.getUint16(index * 2, true) << 16);
    assert.ok(Math.abs(back.getFloat32(0) - value) <= Math.abs(value) * 2 ** -8, `${value}`);
  });
});

test('int8 keeps cosines, uint8 is 128 more', () => {
  const vector = (seed: number) =>
    Float32Array.from({ length: 1024 }, (_, index) => Math.sin(seed * 7919 + index * index));
  const cosine = (a: ArrayLike<number>, b: ArrayLike<number>) => {
    let dot = 0;
    let squaresOfA = 0;
    let squaresOfB = 0;
    for (let index = 0; index < a.length; index++) {
      const [x = 0, y = 0] = [a[index], b[index]];
      dot += x * y;
      squaresOfA += x * x;
      squaresOfB += y * y;
    }
    return dot / Math.sqrt(squaresOfA * squaresOfB);
  };
  const [a, b] = [vector(1), vector(2)];
  const [p, q] = [quantize(a, 'int8'), quantize(b, 'int8')];
  assert.ok(Math.abs(cosine(a, b) - cosine(p, q)) < 1e-3);
  assert.ok(cosine(a, p) > 0.9999);
  assert.deepEqual(
    Array.from(quantize(a, 'uint8')),
    Array.from(p, value => value + 128),
  );
  assert.equal(Math.max(...Array.from(p, Math.abs)), 127);
});

test('binary packs eight signs into a byte, the first one highest', () => {
  const vector = new Float32Array([1, -1, 0, -0.5, 2, 2, -3, -4, -1, 1]);
  assert.deepEqual(Array.from(quantize(vector, 'ubinary')), [0b10101100, 0b01000000]);
  assert.deepEqual(Array.from(quantize(vector, 'binary')), [0b10101100 - 128, 0b01000000 - 128]);
});

for (const [header, name] of [
  [undefined, null],
  ['', null],
  ['identity', null],
  ['gzip, deflate', 'gzip'],
  ['gzip, deflate, br, zstd', 'zstd'],
  ['gzip;q=1.0, br;q=0.5', 'gzip'],
  ['br;q=0, *', 'zstd'],
  ['*;q=0', null],
  ['gzip;q=0', null],
] as const) {
  test(`Accept-Encoding ${header} gets ${name}`, () => {
    assert.equal(chooseCoding(header)?.name ?? null, name);
  });
}
