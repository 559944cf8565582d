import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { jsonErrorPosition } from '@er-gateway/shared/keys/json-error-position';

const cases: [text: string, position: string][] = [
  ['{"keys": [er-abc]}', 'line 1, column 11'],
  ['["a",]', 'line 1, column 6'],
  ['{"a": 1,\n  }', 'line 2, column 3'],
  ['{"a": 1\n "b": 2}', 'line 2, column 2'],
  ['{"a" 1}', 'line 1, column 6'],
  ['{"a": }', 'line 1, column 7'],
  ["['a']", 'line 1, column 2'],
  ['[1, 2', 'line 1, column 6'],
  ['{"a": "b}\n', 'line 1, column 7'],
  ['[1] []', 'line 1, column 5'],
  ['[1}', 'line 1, column 3'],
  ['{"a": [1, {"b": null}]]', 'line 1, column 23'],
  ['// note\n[]', 'line 1, column 1'],
  ['{,}', 'line 1, column 2'],
  ['[01]', 'line 1, column 3'],
  ['{1: 2}', 'line 1, column 2'],
  ['["\\x"]', 'line 1, column 2'],
];

describe('jsonErrorPosition', () => {
  for (const [text, position] of cases) {
    it(`finds ${position} in ${JSON.stringify(text)}`, () => {
      assert.throws(() => JSON.parse(text), SyntaxError);
      assert.equal(jsonErrorPosition(text), position);
    });
  }

  it('reads valid JSON to its end', () => {
    const text = ' {"a": [1, -2.5e3, true, false, null, "\\u00e9\\" \u007f", {}, []], "b": {"c": "d"}}\n';
    JSON.parse(text);
    assert.equal(jsonErrorPosition(text), 'line 2, column 1');
  });
});
