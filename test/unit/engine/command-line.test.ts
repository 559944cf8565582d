import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCommandLine } from '../../../apps/engine/src/command-line.ts';

test('parseCommandLine() reads the options, with 127.0.0.1 as the host', () => {
  assert.deepEqual(parseCommandLine(['--role', 'reranker', '--port', '8001', '--served-name', 'Name']), {
    role: 'reranker',
    host: '127.0.0.1',
    port: 8001,
    servedName: 'Name',
  });
});

const mistakes: [string, string[], RegExp][] = [
  ['an unknown role', ['--role', 'chat', '--port', '1', '--served-name', 'n'], /--role/],
  ['no port', ['--role', 'embedding', '--served-name', 'n'], /--port/],
  ['a port that is none', ['--role', 'embedding', '--port', '80x', '--served-name', 'n'], /--port/],
  ['no name', ['--role', 'embedding', '--port', '1'], /--served-name/],
  ['an unknown option', ['--gpu', '1'], /--gpu/],
];
for (const [name, args, message] of mistakes) {
  test(`parseCommandLine() refuses ${name}`, () => {
    assert.throws(() => parseCommandLine(args), message);
  });
}
