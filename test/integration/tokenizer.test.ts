import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { openTokenizerPool, type TokenizerPool } from '../../apps/scheduler/src/tokenize/tokenizer-pool.ts';
import {
  readTokenizerInThread,
  startEncodingThread,
} from '../../apps/scheduler/src/tokenize/tokenizer-thread.ts';
import { smallTokenizer, writeTokenizer } from '../unit/tokenize/small-tokenizer.ts';

/** More than the caller's own thread encodes. */
const longText = 'the cat and the hat '.repeat(1000);

suite('the tokenizer with its threads', () => {
  const folder = mkdtempSync(join(tmpdir(), 'er-tokenizer-'));
  const tokenizerFile = join(folder, 'tokenizer.json');
  let pool: TokenizerPool;

  before(async () => {
    const tokenizer = smallTokenizer(['t h', 'th e', 'Ġ the', 'a t', 'Ġ c', 'Ġc at'], ['<|endoftext|>']);
    tokenizer.post_processor = {
      type: 'TemplateProcessing',
      single: [{ Sequence: { id: 'A' } }, { SpecialToken: { id: '<|endoftext|>' } }],
      special_tokens: { '<|endoftext|>': { ids: [262] } },
    };
    pool = await openTokenizerPool({ tokenizerFile: writeTokenizer(tokenizerFile, tokenizer), threads: 2 });
  });
  after(async () => {
    await pool.close();
    rmSync(folder, { recursive: true });
  });

  test('gives the same ids in a thread as at once, in the order of the texts', async () => {
    const texts = Array.from({ length: 300 }, (_, index) => `the cat ${index} ${'the hat '.repeat(index)}`);
    const atOnce = await Promise.all(texts.map(text => pool.encode([text])));
    assert.deepEqual(
      (await pool.encode(texts)).map(ids => [...ids]),
      atOnce.map(([ids]) => [...(ids ?? [])]),
    );
    assert.deepEqual(
      [...(await pool.encode(['the cat', 'at']))].map(ids => [...ids]),
      [[257, 261], [259]],
    );
    assert.deepEqual(await pool.encode([]), []);
    assert.deepEqual(await pool.encode(['']), [new Int32Array(0)]);
  });

  test('adds what the post-processor adds, and names the added tokens', async () => {
    assert.deepEqual([...pool.appendSpecialTokens(Int32Array.of(1, 2))], [1, 2, 262]);
    assert.equal(pool.specialTokens.get('<|endoftext|>'), 262);
    assert.equal(await pool.decode([257, 261, 262]), 'the cat<|endoftext|>');
    assert.equal(pool.longestTokenBytes, '<|endoftext|>'.length);
  });

  test('a small request does not wait for a large one, at once or in a thread', async () => {
    const finished: string[] = [];
    const run = async (name: string, texts: string[]) => {
      await pool.encode(texts);
      finished.push(name);
    };
    await Promise.all([
      run(
        'large',
        Array.from({ length: 500 }, () => longText),
      ),
      run('medium', [longText]),
      run('small', ['the cat']),
    ]);
    assert.deepEqual(finished, ['small', 'medium', 'large']);
  });

  test('a text that cannot be cut holds nobody up, and ends when its caller leaves', async () => {
    const abort = new AbortController();
    const word = 'the'.repeat(1_500_000);
    const aborted = assert.rejects(pool.encode([word], { signal: abort.signal, keyId: 'rude' }), /left/);
    const finished: string[] = [];
    const run = async (name: string, keyId: string) => {
      await pool.encode([longText], { keyId });
      finished.push(name);
    };
    // Its own key's other requests too.
    await Promise.all([run('of another key', 'other'), run('of the same key', 'rude')]);
    abort.abort(new Error('left'));
    await aborted;
    const began = performance.now();
    // The thread for such texts is free at once, not when it has encoded them.
    await pool.encode(['the'.repeat(25_000)], { keyId: 'other' });
    const waited = performance.now() - began;
    const whole = performance.now();
    await pool.encode([word]);
    assert.ok(waited < (performance.now() - whole) / 2, `${waited} ms`);
    assert.equal(finished.length, 2);
  });

  test('a long text is encoded in parts, so that it can take turns, with the ids of the whole', async () => {
    const text = `${longText}${'!'.repeat(100)}\n`.repeat(20);
    const [ids = []] = await pool.encode([text, longText]);
    const lines = text.split(/(?<=\n)/);
    const apart = (await Promise.all(lines.map(line => pool.encode([line])))).flatMap(([own = []]) => [
      ...own,
    ]);
    assert.deepEqual([...ids], apart);
  });

  test('names of control tokens mean them when asked for, in a thread as at once', async () => {
    const text = 'the<|endoftext|>cat';
    assert.deepEqual(
      [...((await pool.encode([text], { findsControlTokens: true }))[0] ?? [])].filter(id => id === 262),
      [262],
    );
    const [ids = []] = await pool.encode([text.repeat(5000)], { findsControlTokens: true });
    assert.equal(ids.filter(id => id === 262).length, 5000);
    const [plain = []] = await pool.encode([text.repeat(5000)]);
    assert.equal(plain.filter(id => id === 262).length, 0);
  });

  test('an abort rejects at once, and what is left of the request is not encoded', async () => {
    const texts = Array.from({ length: 1000 }, () => longText);
    const reason = new Error('the caller left');
    const abort = new AbortController();
    const aborted = pool.encode(texts, { signal: abort.signal });
    const next = pool.encode([longText]);
    abort.abort(reason);
    await assert.rejects(aborted, reason);
    assert.equal((await next).length, 1);
    await assert.rejects(pool.encode(['the'], { signal: abort.signal }), reason);
  });

  test('a pool that is closed rejects what is under way and what comes', async () => {
    const other = await openTokenizerPool({ tokenizerFile });
    const underWay = other.encode(Array.from({ length: 500 }, () => longText));
    const rejected = assert.rejects(underWay, /was closed/);
    await other.close();
    await rejected;
    await assert.rejects(other.encode(['the']), /was closed/);
  });

  test('a thread that ends rejects what it owes, and what it is asked afterwards', async () => {
    const thread = startEncodingThread(await readTokenizerInThread(tokenizerFile));
    const question = { texts: [longText.repeat(100)], findsControlTokens: false };
    const owed = assert.rejects(thread.encode(question), /thread ended with code \d/);
    await thread.close();
    await owed;
    assert.ok(thread.isLost);
    await assert.rejects(
      thread.encode({ texts: ['the'], findsControlTokens: false }),
      /thread ended with code \d/,
    );
  });

  test('a tokenizer that is missing or of another kind does not open, and the reason is said', async () => {
    const missing = join(folder, 'none.json');
    await assert.rejects(openTokenizerPool({ tokenizerFile: missing }), /none\.json: ENOENT/);
    const other = writeTokenizer(join(folder, 'other.json'), {
      ...smallTokenizer([]),
      normalizer: { type: 'NFKC' },
    });
    await assert.rejects(openTokenizerPool({ tokenizerFile: other }), /other\.json: its normalizer is/);
  });
});
