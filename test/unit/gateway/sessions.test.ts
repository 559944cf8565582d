import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { Sessions } from '../../../apps/gateway/src/sessions.ts';

let parent: string;
let folder: string;
let sessions: Sessions;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'er-sessions-'));
  folder = join(parent, 'sessions');
  sessions = new Sessions(folder);
});
afterEach(() => rmSync(parent, { recursive: true }));

const withCookie = (cookie: string) => ({ headers: { cookie } }) as IncomingMessage;
const files = () => readdirSync(folder);

test('a session is found by its cookie, among others, in every worker, until it ends', async () => {
  const { id } = await sessions.begin('hash-of-a-key');
  const request = withCookie(`a=b; er_session=${id}; c=d`);
  assert.equal((await new Sessions(folder).of(request))?.keyHash, 'hash-of-a-key');
  await sessions.end(request);
  assert.equal(await sessions.of(request), null);
  assert.deepEqual(files(), []);
  await sessions.end(request);
});

test('only this user can read the folder, and who does finds neither ids nor keys', async () => {
  const { id } = await sessions.begin('hash-of-a-key');
  const [name = ''] = files();
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600);
  assert.ok(!name.includes(id) && !readFileSync(join(folder, name), 'utf8').includes(id));
});

test('a session that is over is no session, and is removed when another begins', async () => {
  const { id } = await sessions.begin('hash-of-a-key');
  const [name = ''] = files();
  writeFileSync(join(folder, name), JSON.stringify({ keyHash: 'hash-of-a-key', expiresAt: Date.now() - 1 }));
  assert.equal(await sessions.of(withCookie(`er_session=${id}`)), null);
  await sessions.begin('hash-of-another');
  assert.ok(!files().includes(name));
  assert.equal(files().length, 1);
});

test('nothing but a whole id is looked for', async () => {
  const { id } = await sessions.begin('hash-of-a-key');
  for (const cookie of [
    '',
    `er_session=${id}x`,
    `er_session=${id.slice(1)}`,
    `xer_session=${id}`,
    'er_session=../../x',
  ]) {
    assert.equal(await sessions.of(withCookie(cookie)), null, cookie);
  }
  assert.equal(await sessions.of({ headers: {} } as IncomingMessage), null);
});

test('a login takes no file that another worker is just writing for one that is over', async () => {
  await sessions.begin('hash-of-a-key');
  const half = join(folder, 'half-written');
  writeFileSync(half, '{"keyHash":');
  await sessions.begin('hash-of-another');
  assert.ok(files().includes('half-written'));
  utimesSync(half, new Date(0), new Date(0));
  await sessions.begin('hash-of-a-third');
  assert.ok(!files().includes('half-written'));
});
