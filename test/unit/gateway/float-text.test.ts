import assert from 'node:assert/strict';
import { test } from 'node:test';
import { maxVectorTextBytes, writeVectorText } from '../../../apps/gateway/src/wire/float-text.ts';

/** A vector's text, written behind something else. */
function vectorText(...values: number[]): string {
  const target = Buffer.alloc(1 + maxVectorTextBytes(values.length));
  const view = new DataView(target.buffer, target.byteOffset, target.length);
  const end = writeVectorText(view, 1, new DataView(new Float32Array(values).buffer));
  return target.toString('latin1', 1, end);
}

const textOf = (value: number) => vectorText(value).slice(1, -1);

/** Fewest significant digits that read back as this float32. */
function fewestDigits(value: number): number {
  for (let digits = 1; digits < 9; digits++)
    if (Math.fround(Number(value.toPrecision(digits))) === value) return digits;
  return 9;
}

/** xorshift32: the same numbers in every run. */
function* words(count: number, state = 0x9e3779b9): Iterable<number> {
  for (let index = 0; index < count; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    yield state >>> 0;
  }
}

test('known numbers are printed as the shortest decimals of their float32', () => {
  assert.equal(textOf(0.0015718605136498809), '0.0015718605');
  assert.equal(textOf(-0.1), '-0.1');
  assert.equal(textOf(0.5), '0.5');
  assert.equal(textOf(0), '0');
  assert.equal(textOf(1), '1');
  assert.equal(textOf(-1), '-1');
  assert.equal(textOf(1e-45), '1e-45');
  assert.equal(textOf(3.4028234663852886e38), '3.4028235e+38');
  assert.equal(textOf(0.99999994), '0.99999994');
});

test('a vector is a JSON array, wherever its bytes begin', () => {
  assert.equal(vectorText(), '[]');
  assert.equal(vectorText(0.25, -1e-30, 0.5, 123456.79, -0.0625), '[0.25,-1e-30,0.5,123456.79,-0.0625]');
  const bytes = Buffer.alloc(9);
  bytes.writeFloatLE(0.1, 1);
  bytes.writeFloatLE(-0.2, 5);
  const target = new DataView(new ArrayBuffer(maxVectorTextBytes(2)));
  const end = writeVectorText(target, 0, new DataView(bytes.buffer, bytes.byteOffset + 1, 8));
  assert.equal(Buffer.from(target.buffer, 0, end).toString(), '[0.1,-0.2]');
});

test('every text reads back as the same float32 and has no digit to spare, over all magnitudes', () => {
  const bits = new DataView(new ArrayBuffer(4));
  for (const word of words(200_000)) {
    bits.setUint32(0, word);
    const value = bits.getFloat32(0);
    if (!Number.isFinite(value)) continue;
    const text = textOf(value);
    assert.equal(Math.fround(JSON.parse(text)), value, text);
  }
  for (const word of words(50_000, 7)) {
    const value = Math.fround((word / 2 ** 31 - 1) * 10 ** -(word % 6));
    const text = textOf(value);
    assert.equal(Math.fround(JSON.parse(text)), value, text);
    const digits = text
      .replace(/e.*/, '')
      .replace(/[-.]/g, '')
      .replace(/^0+|0+$/g, '').length;
    assert.ok(digits <= fewestDigits(value), `${text} for ${value}`);
  }
});

test('powers of two, whose lower neighbour is nearer, read back too', () => {
  for (let exponent = -149; exponent <= 127; exponent++) {
    const value = 2 ** exponent;
    assert.equal(Math.fround(JSON.parse(textOf(value))), value);
  }
});
