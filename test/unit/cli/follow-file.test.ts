import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { followFile } from '../../../apps/cli/src/follow-file.ts';
import { waitFor } from '../../kit/wait-for.ts';

test('logs -f goes on over a rotation, and loses and repeats no line', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'er-follow-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'model.log');
  writeFileSync(file, 'from before\n');
  const stop = new AbortController();
  let seen = '';
  const following = followFile(
    file,
    text => {
      seen += text;
    },
    stop.signal,
  );
  let written = '';
  for (let number = 0; number < 400; number++) {
    // Put away as the supervisor does it, the old file getting no more: between two lines.
    if (number % 150 === 149) {
      await delay(250);
      renameSync(file, `${file}.1`);
    }
    const line = `line ${number} über\n`;
    written += line;
    appendFileSync(file, line);
    if (number % 20 === 19) await delay(10);
  }
  await waitFor('all lines', () => seen.length >= written.length);
  stop.abort();
  await following;
  assert.equal(seen, written);
});
