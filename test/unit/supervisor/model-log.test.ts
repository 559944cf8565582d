import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { ModelLog } from '../../../supervisor/src/model-log.ts';
import { openOutputPipe } from '../../../supervisor/src/output-pipe.ts';

const folder = mkdtempSync(join(tmpdir(), 'er-log-'));
after(() => rmSync(folder, { recursive: true }));

function open(name: string, change: Partial<ConstructorParameters<typeof ModelLog>[0]> = {}) {
  const problems: string[] = [];
  const file = join(folder, name);
  const onProblem = (problem: string) => problems.push(problem);
  const log = new ModelLog({ file, maxBytes: 1000, keep: 3, onProblem, ...change });
  return { file, log, problems };
}

/** What the put-away files and the present one hold, oldest first. */
function wholeText(file: string, keep: number): string {
  const packed = Array.from({ length: keep }, (_, index) => `${file}.${keep - index}.gz`).filter(existsSync);
  return [...packed.map(name => gunzipSync(readFileSync(name)).toString()), readFileSync(file, 'utf8')].join(
    '',
  );
}

describe('ModelLog', () => {
  it('appends to what is there', async () => {
    const { file, log } = open('new/a.log');
    log.note('--- first');
    log.add(Buffer.from('second\n'));
    await log.close();
    const again = open('new/a.log');
    again.log.note('--- third');
    await again.log.close();
    assert.equal(readFileSync(file, 'utf8'), '--- first\nsecond\n--- third\n');
  });

  it('puts full files away, compressed and numbered, without losing or cutting a line', async () => {
    const { file, log } = open('b.log', { keep: 100 });
    let written = '';
    for (let number = 0; number < 200; number++) {
      const line = `${number} ${'x'.repeat(number % 50)}\n`;
      written += line;
      log.add(Buffer.from(line));
      // A turn of the event loop, in which the compression goes on.
      if (number % 10 === 9) await new Promise(resolve => setTimeout(resolve, 5));
    }
    await log.close();
    const packed = readdirSync(folder).filter(name => /^b\.log\.\d+\.gz$/.test(name));
    assert.ok(packed.length >= 2, `${packed}`);
    assert.equal(wholeText(file, packed.length), written);
    for (const name of packed) assert.match(gunzipSync(readFileSync(join(folder, name))).toString(), /\n$/);
  });

  it('keeps no more files than it may, the newest ones', async () => {
    const { file, log } = open('c.log', { keep: 2 });
    for (let number = 0; number < 6; number++) {
      log.add(Buffer.from(`${number}${'x'.repeat(900)}\n`));
      await new Promise(resolve => setTimeout(resolve, 30));
    }
    await log.close();
    const names = readdirSync(folder).filter(name => name.startsWith('c.log'));
    assert.deepEqual(names.sort(), ['c.log', 'c.log.1.gz', 'c.log.2.gz']);
    assert.equal(wholeText(file, 2).replaceAll('x', ''), '3\n4\n5\n');
  });

  it('loses no file whose compression failed: the next one grows on until it is packed', async () => {
    const { file, log, problems } = open('f.log');
    mkdirSync(`${file}.1.packing`);
    let written = '';
    for (let number = 0; number < 6; number++) {
      const line = `${number}${'x'.repeat(900)}\n`;
      written += line;
      log.add(Buffer.from(line));
      await new Promise(resolve => setTimeout(resolve, 30));
    }
    await log.close();
    assert.match(problems.join(), /^an old log could not be compressed: EISDIR/);
    assert.equal(readFileSync(`${file}.1`, 'utf8') + readFileSync(file, 'utf8'), written);

    rmSync(`${file}.1.packing`, { recursive: true });
    await open('f.log').log.close();
    assert.equal(wholeText(file, 3), written);
  });

  it('compresses what a killed supervisor had put away', async () => {
    writeFileSync(join(folder, 'd.log.1'), 'old\n');
    const { file, log } = open('d.log');
    log.note('new');
    await log.close();
    assert.equal(wholeText(file, 3), 'old\nnew\n');
    assert.ok(!existsSync(`${file}.1`));
  });

  for (const [what, file, problem] of [
    ['the disk is full, though the file opens', '/dev/full', /thrown away: ENOSPC/],
    ['the file cannot be opened', folder, /thrown away: EISDIR/],
  ] as const) {
    it(`goes on, says so once and still explains the end when ${what}`, async () => {
      const { log, problems } = open('', { file });
      log.note('---');
      log.add(Buffer.from('ValueError: it broke\n'));
      log.add(Buffer.from('more\n'));
      assert.equal(problems.length, 1);
      assert.match(problems[0] ?? '', problem);
      assert.equal(log.explanation(), 'ValueError: it broke');
      await log.close();
    });
  }

  it('tells what a loading server does by whole lines, whether they end in \\n or \\r', async () => {
    const { log } = open('e.log');
    log.add(
      Buffer.from('Loading safetensors checkpoint shards: 1/4\rLoading safetensors checkpoint shards: 2/'),
    );
    assert.equal(log.newDetail(), 'loading weights 1/4');
    log.add(Buffer.from('4\r'));
    assert.equal(log.newDetail(), 'loading weights 2/4');
    assert.equal(log.newDetail(), null);
    await log.close();
  });

  it('explains the end by its last line too, without a line break', async () => {
    const { log } = open('f.log');
    assert.equal(log.explanation(), null);
    log.add(Buffer.from('INFO\nKeyError: now'));
    assert.equal(log.explanation(), 'KeyError: now');
    await log.close();
  });
});

describe('openOutputPipe()', () => {
  it('takes all that a process and its children write, and leaves no file', async () => {
    const chunks: Buffer[] = [];
    const path = join(folder, 'pipe');
    const pipe = await openOutputPipe(path, chunk => chunks.push(chunk));
    assert.ok(!existsSync(path));
    const script = 'seq 1 20000; (sleep 0.2; echo child) & echo error >&2';
    const child = spawn('sh', ['-c', script], { stdio: ['ignore', pipe.input, pipe.input] });
    closeSync(pipe.input);
    await once(child, 'exit');
    await pipe.ended();
    const lines = Buffer.concat(chunks).toString().trimEnd().split('\n');
    assert.equal(lines.length, 20_002);
    assert.deepEqual(lines.slice(0, 2), ['1', '2']);
    assert.ok(lines.includes('error') && lines.includes('child'));
  });
});
