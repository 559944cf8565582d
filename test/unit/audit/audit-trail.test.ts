import assert from 'node:assert/strict';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { AuditKeeper } from '@er-gateway/shared/audit/audit-keeper';
import { AuditWriter } from '@er-gateway/shared/audit/audit-writer';
import { claimWorkerLane } from '@er-gateway/shared/audit/claim-lane';
import { searchAudit } from '@er-gateway/shared/audit/search-audit';
import { verifyAudit } from '@er-gateway/shared/audit/verify-audit';
import { createLogger } from '@er-gateway/shared/logger';
import { waitFor } from '../../kit/wait-for.ts';

const logger = createLogger('test', 'info');
logger.silent = true;
const day = (number: number) => `2026-01-${String(number).padStart(2, '0')}T12:00:00.000Z`;

let folder: string;
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'er-audit-')), 'audit');
});
afterEach(() => rmSync(join(folder, '..'), { recursive: true, force: true }));

const writerOf = (lane: string, maxFileBytes = 1_000_000) =>
  new AuditWriter({ folder, lane, maxFileBytes, logger });
/** Lines of a lane, written by a process that ends in order. */
function write(
  lane: string,
  count: number,
  { maxFileBytes = 1_000_000, time = day(1), from = 0 } = {},
): void {
  const writer = writerOf(lane, maxFileBytes);
  for (let number = from; number < from + count; number++) {
    const record = { time, request_id: `${lane}/${number}`, key_name: 'ünï "q"', status: 200 };
    writer.append(record);
  }
  writer.close();
}
const pathOf = (name: string) => join(folder, name);
const linesOf = (name: string) => readFileSync(pathOf(name), 'utf8').trimEnd().split('\n');
const rewrite = (name: string, change: (lines: string[]) => string[]) =>
  writeFileSync(pathOf(name), `${change(linesOf(name)).join('\n')}\n`);
const problems = async () => (await verifyAudit(folder)).problems;

describe('the audit trail', () => {
  it('is whole as it was written: several lanes, several files, several processes after each other', async () => {
    write('gateway-0', 30, { maxFileBytes: 2000 });
    write('gateway-0', 30, { maxFileBytes: 2000, from: 30 });
    write('gateway-1', 5);
    write('gateway-1', 5, { time: day(2) });
    const report = await verifyAudit(folder);
    assert.deepEqual(report.problems, []);
    assert.ok(report.files > 6, `${report.files} files`);
    const names = readdirSync(folder);
    assert.ok(names.includes('gateway-1.000001.jsonl'), 'a day has a file');
    assert.ok(names.includes('gateway-0.000002.jsonl'), 'a file has a size');
    for (const name of names) assert.equal(statSync(pathOf(name)).mode & 0o777, 0o600, name);
    const found = await searchAudit(folder, { limit: 1000 });
    assert.equal(found.filter(({ request_id }) => request_id).length, 70, 'each line once');
  });

  for (const [what, change, found] of [
    ['a changed line', lines => lines.with(3, lines[3]?.replace('200', '201') ?? ''), /line 4 is changed/],
    [
      'a line that was taken out',
      lines => lines.toSpliced(3, 1),
      /line 4 is changed, or one before it is miss/,
    ],
    ['a line that was put in', lines => lines.toSpliced(3, 0, lines[2] ?? ''), /line 4 is changed/],
    ['two lines that changed places', lines => [...lines.slice(0, 2), ...lines.slice(2).reverse()], /line 3/],
    ['the last line gone', lines => lines.slice(0, -1), /lines are missing: it was written to byte \d+/],
    ['lines of something else', lines => [...lines.slice(0, 2), 'hello', ...lines.slice(2)], /line 3/],
  ] satisfies [string, (lines: string[]) => string[], RegExp][]) {
    it(`shows ${what}`, async () => {
      write('gateway-0', 8);
      rewrite('gateway-0.jsonl', change);
      const [first = 'nothing was found'] = await problems();
      assert.match(first, found);
      assert.match(first, /^gateway-0\.jsonl: /);
    });
  }

  it('shows a file that is gone: one in the middle, the newest, and all of a lane', async () => {
    write('gateway-0', 40, { maxFileBytes: 2000 });
    write('gateway-1', 3);
    unlinkSync(pathOf('gateway-0.000002.jsonl'));
    const found = await problems();
    assert.equal(found[0], 'gateway-0: file 2 is missing');
    assert.match(found[1] ?? '', /^gateway-0\.000003\.jsonl: line 1 is changed, or one before it is missing/);
    unlinkSync(pathOf('gateway-1.jsonl'));
    assert.ok((await problems()).includes('gateway-1: file 1 is missing'));
    unlinkSync(pathOf('heads'));
    assert.match((await problems())[0] ?? '', /^heads: the file is missing/);
  });

  it('does not take what a kill -9 left for a hole: the head behind, half a line, which is cut away', async () => {
    const writer = writerOf('gateway-0');
    writer.append({ time: day(1) });
    await waitFor('the head', async () => existsSync(pathOf('heads')));
    writer.append({ time: day(1) }); // its head is not written yet
    appendFileSync(pathOf('gateway-0.jsonl'), '{"time":"2026-01-01T12:00:00.0');
    write('gateway-0', 2);
    assert.deepEqual(await problems(), []);
    assert.equal(linesOf('gateway-0.jsonl').length, 6, 'with two lines of the opening');
  });

  it('puts a file aside that is not its own, and goes on in another', async () => {
    mkdirSync(folder);
    writeFileSync(pathOf('gateway-0.jsonl'), '{"time":"2025-01-01T00:00:00.000Z","status":200}\n');
    write('gateway-0', 2);
    assert.deepEqual(await problems(), []);
    assert.equal(readdirSync(folder).filter(name => name.includes('.foreign-')).length, 1);
  });

  it('is whole, and found whole, when files are put away and compressed while it is read', async () => {
    const writer = writerOf('gateway-0', 2000);
    let number = 0;
    const fill = () => {
      for (let line = 0; line < 30; line++)
        writer.append({ time: day(1), request_id: `r-${number++}` } as never);
    };
    fill();
    const disturb = () => {
      for (const name of readdirSync(folder).filter(one => /\.\d+\.jsonl$/.test(one))) {
        writeFileSync(pathOf(`${name}.gz`), gzipSync(readFileSync(pathOf(name))));
        unlinkSync(pathOf(name));
      }
      fill();
    };
    const verifying = verifyAudit(folder);
    disturb();
    assert.deepEqual((await verifying).problems, []);
    const searching = searchAudit(folder, { limit: 1000 });
    disturb();
    const found = (await searching).filter(({ request_id }) => request_id);
    assert.equal(new Set(found.map(({ request_id }) => request_id)).size, found.length, 'no line twice');
    assert.equal(found.length, number);
    writer.close();
  });

  it('takes a line break of Unicode inside of a name for no end of a line', async () => {
    const writer = writerOf('gateway-0');
    writer.append({ time: day(1), key_name: 'a\u2028b\u2029c\u0085d' } as never);
    writer.close();
    assert.deepEqual(await problems(), []);
    assert.equal((await searchAudit(folder, { limit: 10, key: 'a\u2028b\u2029c\u0085d' })).length, 1);
  });

  it('counts what a full disk refuses, goes on later, and then says how much is not there', async t => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    let now = 0;
    t.mock.method(performance, 'now', () => now);
    write('gateway-0', 2);
    const [before] = [readFileSync(pathOf('gateway-0.jsonl'))];
    unlinkSync(pathOf('gateway-0.jsonl'));
    symlinkSync('/dev/full', pathOf('gateway-0.jsonl'));
    const states: boolean[] = [];
    const writer = new AuditWriter({
      folder,
      lane: 'gateway-0',
      maxFileBytes: 1_000_000,
      logger,
      onFailing: isFailing => states.push(isFailing),
    });
    for (let time = 0; time < 3; time++) writer.append({ time: day(1) });
    assert.deepEqual([writer.lost, writer.isFailing], [3, true]);
    unlinkSync(pathOf('gateway-0.jsonl'));
    writeFileSync(pathOf('gateway-0.jsonl'), before);
    now += 5000;
    writer.append({ time: day(1) });
    writer.close();
    assert.deepEqual([writer.lost, writer.isFailing, states], [3, false, [true, false]]);
    const report = await verifyAudit(folder);
    assert.deepEqual([report.problems, report.lost], [[], 3]);
  });
});

describe('the keeper of the audit trail', () => {
  const keeperOf = (retentionDays: number | null, maxTotalBytes = 1e9, now = Date.parse(day(20))) =>
    new AuditKeeper({ folder, retentionDays, maxTotalBytes, logger, now: () => now });
  const tidy = async (keeper: AuditKeeper) => {
    await keeper.tidy();
    keeper.close();
  };
  const touchAll = () => {
    for (const name of readdirSync(folder)) {
      const last = /"time":"([^"]+)"(?!.*"time")/s.exec(readFileSync(pathOf(name), 'utf8'))?.[1];
      if (last) utimesSync(pathOf(name), new Date(last), new Date(last));
    }
  };

  it('compresses closed files, which are read and checked as before', async () => {
    write('gateway-0', 40, { maxFileBytes: 2000 });
    const before = await verifyAudit(folder);
    await tidy(keeperOf(null));
    const names = readdirSync(folder).filter(name => name.startsWith('gateway-0.0'));
    assert.ok(names.length >= 3 && names.every(name => name.endsWith('.jsonl.gz')), names.join());
    for (const name of names) assert.equal(statSync(pathOf(name)).mode & 0o777, 0o600);
    const after = await verifyAudit(folder);
    assert.deepEqual(after, before);
    assert.equal((await searchAudit(folder, { limit: 100, key: 'ünï "q"' })).length, 40);
  });

  it('keeps no draft of a packed file: neither of one that failed nor of one whose plain file is gone', async t => {
    write('gateway-0', 40, { maxFileBytes: 2000 });
    const told: unknown[] = [];
    t.mock.method(
      logger,
      'error',
      (message: string, { file, error }: { file: string; error: NodeJS.ErrnoException }) =>
        told.push([message, file, error.code]),
    );
    mkdirSync(join(pathOf('gateway-0.000001.jsonl.gz.tmp'), 'in the way'), { recursive: true });
    for (const left of ['gateway-7.000003.jsonl.gz.tmp', 'notes.gz.tmp']) writeFileSync(pathOf(left), 'half');
    await tidy(keeperOf(null));
    const drafts = () => readdirSync(folder).filter(name => name.endsWith('.tmp'));
    assert.deepEqual(drafts(), ['notes.gz.tmp'], 'what is none of the trail stays');
    assert.deepEqual(told, [
      ['a file of the audit trail could not be compressed', 'gateway-0.000001.jsonl', 'EISDIR'],
    ]);
    await tidy(keeperOf(null));
    assert.ok(existsSync(pathOf('gateway-0.000001.jsonl.gz')), 'the next look compresses it');
    assert.deepEqual(await problems(), []);
  });

  it('deletes by age, and the trail is whole all the same; what others delete is not', async () => {
    for (let number = 1; number <= 18; number++) write('gateway-0', 2, { time: day(number) });
    write('gateway-7', 2, { time: day(2) });
    touchAll();
    await tidy(keeperOf(10));
    const left = () =>
      readdirSync(folder)
        .filter(name => name.startsWith('gateway'))
        .sort();
    assert.equal(left()[0], 'gateway-0.000010.jsonl.gz');
    assert.ok(!left().includes('gateway-7.jsonl'), 'nobody writes to this lane any more');
    assert.deepEqual(await problems(), []);
    write('gateway-7', 2, { time: day(20) });
    assert.deepEqual(await problems(), []);
    unlinkSync(pathOf('gateway-0.000010.jsonl.gz'));
    assert.equal((await problems())[0], 'gateway-0: file 10 is missing');
  });

  it('leaves the file of a living process, however old', async () => {
    write('gateway-0', 2);
    touchAll();
    const { release } = await claimWorkerLane(folder, 0);
    await tidy(keeperOf(1));
    assert.ok(existsSync(pathOf('gateway-0.jsonl')));
    release();
  });

  it('deletes the oldest files above the size', async () => {
    for (let number = 1; number <= 10; number++) write('gateway-0', 20, { time: day(number) });
    touchAll();
    await tidy(keeperOf(null));
    const bytes = () => readdirSync(folder).reduce((sum, name) => sum + statSync(pathOf(name)).size, 0);
    const half = bytes() / 2;
    await tidy(keeperOf(null, half));
    assert.ok(bytes() < half + 3000, `${bytes()} of ${half}`);
    assert.ok(!existsSync(pathOf('gateway-0.000001.jsonl.gz')));
    assert.ok(existsSync(pathOf('gateway-0.000009.jsonl.gz')));
    assert.deepEqual(await problems(), []);
  });

  it('makes room on a full disk, and tells of it when it can', async t => {
    let now = 0;
    for (let number = 1; number <= 3; number++) write('gateway-0', 2, { time: day(number) });
    touchAll();
    symlinkSync('/dev/full', pathOf('keeper.jsonl'));
    t.mock.method(performance, 'now', () => now);
    const keeper = keeperOf(1);
    await keeper.tidy();
    assert.deepEqual(
      readdirSync(folder).filter(name => name.startsWith('gateway-0.0')),
      [],
    );
    unlinkSync(pathOf('keeper.jsonl'));
    now += 5000;
    await tidy(keeper);
    const report = await verifyAudit(folder);
    assert.deepEqual([report.problems, report.lost], [[], 0]);
  });

  it('is kept from its work by no file that cannot be read or compressed', async () => {
    for (let number = 1; number <= 18; number++) write('gateway-0', 2, { time: day(number) });
    touchAll();
    await tidy(keeperOf(null));
    writeFileSync(pathOf('gateway-0.000002.jsonl.gz'), 'broken');
    utimesSync(pathOf('gateway-0.000002.jsonl.gz'), new Date(day(2)), new Date(day(2)));
    write('gateway-1', 2, { time: day(1) });
    write('gateway-1', 2, { time: day(20) });
    mkdirSync(pathOf('gateway-1.000001.jsonl.gz.tmp'));
    await tidy(keeperOf(10, 1e9, Date.parse(day(20))));
    const left = readdirSync(folder).filter(name => name.startsWith('gateway-0.0'));
    assert.equal(left.sort()[0], 'gateway-0.000010.jsonl.gz');
    assert.ok(existsSync(pathOf('gateway-1.000001.jsonl')), 'as it was');
    assert.deepEqual(await problems(), []);
  });
});

describe('searchAudit', () => {
  it('finds by key, time, status and request, the newest of them, over all files', async () => {
    const now = Date.now();
    const at = (ago: number) => new Date(now - ago).toISOString();
    for (const [lane, offset] of [
      ['gateway-0', 0],
      ['gateway-1', 500],
    ] as const) {
      const writer = writerOf(lane);
      for (let ago = 10; ago > 0; ago--) {
        const record = {
          request_id: `${lane}-${ago}`,
          key_id: 'aa',
          key_name: lane,
          status: ago > 5 ? 200 : 429,
        };
        writer.append({ time: at(ago * 60_000 + offset), ...record });
      }
      writer.close();
    }
    const ids = async (query: object) =>
      (await searchAudit(folder, { limit: 100, ...query }))
        .map(({ request_id }) => request_id)
        .filter(Boolean);
    assert.deepEqual(await ids({ key: 'gateway-1', since: now - 2.5 * 60_000 }), [
      'gateway-1-2',
      'gateway-1-1',
    ]);
    assert.equal((await ids({ key: 'aa', status: 429 })).length, 10);
    assert.deepEqual(await ids({ request: 'gateway-0-7' }), ['gateway-0-7']);
    assert.deepEqual(await ids({ key: 'aa', limit: 3 }), ['gateway-0-2', 'gateway-1-1', 'gateway-0-1']);
    assert.deepEqual(await ids({ key: 'aa', until: now - 10 * 60_000 }), ['gateway-1-10', 'gateway-0-10']);
    assert.equal((await searchAudit(folder, { limit: 1 }))[0]?.chain, undefined);
  });
});

it('a worker and its successor write to lanes of their own, and a lane is free when its process is gone', async () => {
  const old = await claimWorkerLane(folder, 3);
  const fresh = await claimWorkerLane(folder, 3);
  assert.deepEqual([old.lane, fresh.lane], ['gateway-3', 'gateway-3-b']);
  old.release();
  const next = await waitFor('the lane', async () => {
    const claimed = await claimWorkerLane(folder, 3);
    if (claimed.lane === 'gateway-3') return claimed;
    claimed.release();
    return null;
  });
  next.release();
  fresh.release();
});
