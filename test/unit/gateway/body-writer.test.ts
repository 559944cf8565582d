import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BodyPart, BodyWriter } from '../../../apps/gateway/src/wire/body-writer.ts';

const all = Number.POSITIVE_INFINITY;
const iterator = (...parts: BodyPart[]) => parts[Symbol.iterator]();

test('text, bytes and vectors stand in a body in the order of the parts', () => {
  const writer = new BodyWriter();
  const vector = new DataView(Float32Array.of(0.5, -2).buffer);
  const { body, isLast } = writer.writeUpTo(iterator('é€😀', Buffer.from([0, 255]), vector, ''), all);
  assert.deepEqual(
    body,
    Buffer.concat([Buffer.from('é€😀'), Buffer.from([0, 255]), Buffer.from('[0.5,-2]')]),
  );
  assert.equal(isLast, true);
});

test('parts are taken until there are enough bytes, the rest the next time', () => {
  const writer = new BodyWriter();
  const parts = iterator('abc', 'def', 'ghi');
  assert.deepEqual(writer.writeUpTo(parts, 4), { body: Buffer.from('abcdef'), isLast: false });
  assert.deepEqual(writer.writeUpTo(parts, 4), { body: Buffer.from('ghi'), isLast: true });
});

test('bodies larger than the memory at hand are whole, and those before them stay as they were', () => {
  const writer = new BodyWriter();
  const texts = Array.from({ length: 40 }, (_, index) =>
    String.fromCharCode(0x100 + index).repeat(1 + index * 900),
  );
  const bodies = texts.map(text => writer.writeUpTo(iterator('<', text, Buffer.from(text), '>'), all).body);
  for (const [index, body] of bodies.entries())
    assert.equal(body.toString(), `<${texts[index]}${texts[index]}>`);
  const large = Buffer.alloc(3_000_000, 'x');
  const { body } = writer.writeUpTo(iterator('a', large, 'b'), all);
  assert.ok(body.equals(Buffer.from(`a${large}b`)));
  // Its memory goes with it.
  assert.notEqual(writer.writeUpTo(iterator(''), all).body.buffer, body.buffer);
});

test('a body whose parts fail leaves nothing in the next one', () => {
  const writer = new BodyWriter();
  function* failing(): Generator<BodyPart> {
    yield 'half a body';
    throw new Error('no more');
  }
  assert.throws(() => writer.writeUpTo(failing(), all), /no more/);
  assert.equal(writer.writeUpTo(iterator('whole'), all).body.toString(), 'whole');
});
