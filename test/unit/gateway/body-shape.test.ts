import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkShape } from '../../../apps/gateway/src/request/body-shape.ts';

const check = (text: string) => () => checkShape(Buffer.from(text));

test('a large body of many lists, objects or values is refused before it is parsed', () => {
  for (const item of ['[]', '{}', '[[', '{"a":{']) {
    assert.throws(
      check(`[${`${item},`.repeat(300_000)}${' '.repeat(1_000_000)}0]`),
      /262144 lists and objects/,
    );
  }
  assert.throws(check(`[${'0,'.repeat(4_200_000)}0]`), /4194304 values/);
  assert.throws(check(`[${'"a",'.repeat(4_200_000)}0]`), /4194304 values/);
});

test('what stands in strings counts for nothing, escaped quotes and backslashes included', () => {
  for (const text of ['[,{'.repeat(2_000_000), '\\"[,'.repeat(2_000_000), `${'[,'.repeat(3_000_000)}\\\\`])
    check(`{"input":"${text}"}`)();
  const [before, after] = ['"\\\\",'.repeat(2), '[],'.repeat(300_000)];
  assert.throws(check(`[${before}${after}"${' '.repeat(1_000_000)}"]`), /lists and objects/);
});

test('small bodies pass unseen, and a string without an end is left to the parser', () => {
  check('['.repeat(1_000_000))();
  check(`["${'['.repeat(2_000_000)}`)();
  check(`["\\"${'['.repeat(2_000_000)}`)();
});
