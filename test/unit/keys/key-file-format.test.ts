import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ConfigError } from '@er-gateway/shared/errors/config-error';
import { hashKey } from '@er-gateway/shared/keys/hash-key';
import { parseKeyFile } from '@er-gateway/shared/keys/key-file-format';

const one = 'er-first-key';
const two = 'er-second-key';
const parse = (value: unknown) =>
  parseKeyFile(typeof value === 'string' ? value : JSON.stringify(value), '/etc/keys.json');
const hashes = (value: unknown) => [...parse(value).records.keys()];

describe('parseKeyFile', () => {
  const both = [hashKey(one), hashKey(two)];
  for (const [shape, value] of Object.entries({
    'a keys list of objects': { keys: [{ key: one }, { key: two }] },
    'an api_keys list of strings': { api_keys: [one, two] },
    'a bare list of both': [one, { key: two }],
    'an object that maps keys to settings': { [one]: {}, [two]: { name: 'two' } },
    'an object of keys under keys': { version: 2, keys: { [one]: {}, [two]: {} } },
    'unknown members': { note: 'mine', keys: [{ key: one, colour: 'red' }, two], more: [1] },
  })) {
    it(`reads ${shape}`, () => assert.deepEqual(hashes(value), both));
  }

  it('takes no name that would end a line somewhere', () => {
    for (const name of ['a\nb', 'a\u2028b', 'a\u2029b', 'a\u0085b', '\u0000']) {
      const { records, problems } = parse({ keys: [{ key: one, name, role: 'admin' }] });
      const [record] = [...records.values()];
      assert.deepEqual([record?.name, record?.role], [hashKey(one).slice(0, 16), 'admin']);
      assert.match(problems[0] ?? '', /^keys\[0\]: its name has control characters/);
    }
  });

  it('takes name and role from the settings; a user named by the short id without', () => {
    const { records, problems } = parse({ keys: [{ key: one, name: 'web', role: 'admin' }, two] });
    const [web, plain] = [...records.values()];
    assert.deepEqual(web, { hash: hashKey(one), id: hashKey(one).slice(0, 16), name: 'web', role: 'admin' });
    assert.deepEqual([plain?.name, plain?.role], [hashKey(two).slice(0, 16), 'user']);
    assert.deepEqual(problems, []);
  });

  it('leaves out and reports entries without a usable key, and never quotes one', () => {
    const { records, problems } = parse({
      keys: [{ name: 'x' }, '', 'er has space', 'er-tiny', 12345678, null, `${two}\n`, one, one],
    });
    assert.deepEqual([...records.keys()], [hashKey(one)]);
    assert.deepEqual(problems, [
      'keys[0]: left out, the key is not a string',
      'keys[1]: left out, the key is empty',
      'keys[2]: left out, the key has white space in it',
      'keys[3]: left out, the key is shorter than 8 characters',
      'keys[4]: left out, the key is not a string',
      'keys[5]: left out, the key is not a string',
      'keys[6]: left out, the key has white space in it',
      'keys[8]: left out, it is the same key as keys[7]',
    ]);
  });

  it('gives no admin rights for a misspelt role', () => {
    const { records, problems } = parse([{ key: one, role: 'Administrator' }]);
    assert.equal(records.get(hashKey(one))?.role, 'user');
    assert.match(problems[0] ?? '', /neither "user" nor "admin"/);
  });

  it('accepts a byte order mark and a file that holds no key', () => {
    assert.deepEqual(hashes(`\uFEFF${JSON.stringify([one])}`), [hashKey(one)]);
    assert.deepEqual(hashes({ keys: [] }), []);
    assert.deepEqual(hashes({}), []);
  });

  for (const [what, text, problem] of [
    [
      'broken JSON',
      '{"keys": [\n  er-secret-key\n]}',
      '/etc/keys.json: is not valid JSON at line 2, column 3',
    ],
    ['an empty file', ' \n', /^\/etc\/keys\.json: is empty/],
    ['a string', '"er-secret-key"', /^\/etc\/keys\.json: line 1: must hold/],
    ['keys that are no list', '{"keys": "er-secret-key"}', /^\/etc\/keys\.json: line 1: must hold/],
  ] as const) {
    it(`refuses ${what}, naming the file and the place, not the text`, () => {
      assert.throws(
        () => parse(text),
        (error: unknown) => {
          assert.ok(error instanceof ConfigError);
          if (typeof problem === 'string') assert.equal(error.message, problem);
          else assert.match(error.message, problem);
          assert.doesNotMatch(error.message, /secret/);
          return true;
        },
      );
    });
  }
});
