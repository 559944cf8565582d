import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import { newKey } from '@er-gateway/shared/keys/ensure-key-file';
import { readStatusFile } from '@er-gateway/shared/model-process-status';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { accessibilityProblems, chromiumMissing, keepScreenshot, startChromium } from '../kit/browser.ts';
import { fakeVllmSettings } from '../kit/fake-vllm.ts';
import { startLoad } from '../kit/load.ts';
import { pidOf, pidsOf } from '../kit/process-status.ts';
import { type Stack, startStack } from '../kit/stack.ts';
import { waitFor } from '../kit/wait-for.ts';

const folder = mkdtempSync(join(tmpdir(), 'er-dashboard-'));
/** A model that stopped shows within this time, in milliseconds. */
const promisedMs = 3000;
const gpuRow = '0, 35, 20480, 81559, 41, 120.5, NVIDIA H200';

/** Ends the streams that a test which failed has left. */
const leaving = new AbortController();
let stack: Stack;
let browser: Browser;
let context: BrowserContext;
/** What pages of the test's context asked for, and what the browser complained about. */
let addresses: Set<string>;
let complaints: string[];

describe('the dashboard in Chromium', { skip: chromiumMissing() }, () => {
  before(async () => {
    const programs = join(folder, 'programs');
    mkdirSync(programs);
    writeFileSync(join(programs, 'nvidia-smi'), `#!/bin/sh\necho "${gpuRow}"\n`);
    chmodSync(join(programs, 'nvidia-smi'), 0o755);
    const settings = fakeVllmSettings(folder, { FAKE_VLLM_BOOT_MS: '2000', FAKE_VLLM_STEP_MS: '5' });
    const path = `${join(import.meta.dirname, '../../node_modules/.bin')}${delimiter}${programs}${delimiter}${process.env.PATH}`;
    stack = await startStack({ workers: 3, env: { ...settings, PATH: path } });
    browser = await startChromium();
  });
  after(async () => {
    leaving.abort();
    await browser?.close();
    await stack?.stop();
    rmSync(folder, { recursive: true });
  });
  afterEach(() => context?.close());

  /** A window of its own, without cookies. */
  async function openWindow(options: Parameters<Browser['newContext']>[0] = {}): Promise<Page> {
    context = await browser.newContext(options);
    addresses = new Set();
    complaints = [];
    const page = await context.newPage();
    page.on('request', request => addresses.add(new URL(request.url()).origin));
    page.on('pageerror', error => complaints.push(error.message));
    page.on('console', message => {
      if (/Content Security|Trusted/i.test(message.text())) complaints.push(message.text());
    });
    return page;
  }

  async function logIn(page: Page, key = stack.key): Promise<void> {
    await page.goto(`${stack.url}/dashboard`);
    await page.getByLabel('Admin API key').fill(key);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('heading', { name: 'Models', exact: true }).waitFor();
  }

  const model = (page: Page, role: string) => page.locator(`[data-role=${role}]`);
  const sessionCookie = async () => (await context.cookies()).find(({ name }) => name === 'er_session');
  const askWithCookie = (path: string, value: string, method = 'GET') =>
    fetch(`${stack.url}${path}`, { method, headers: { cookie: `er_session=${value}` } });

  test('asks a visitor for an admin key, takes no other, and keeps only a cookie that no script can read', async () => {
    const userKey = newKey();
    const { keys } = JSON.parse(readFileSync(stack.keysFile, 'utf8'));
    writeFileSync(stack.keysFile, JSON.stringify({ keys: [...keys, { key: userKey, role: 'user' }] }));
    const page = await openWindow();
    const answer = await page.goto(`${stack.url}/dashboard`);
    assert.equal(answer?.status(), 401);
    const field = page.getByLabel('Admin API key');
    const tryKey = async (key: string) => {
      await field.fill(key);
      await page.keyboard.press('Enter');
      return (await page.getByRole('alert').textContent()) ?? '';
    };
    assert.match(await tryKey('er-nobody-has-this-key'), /not known here/);
    await waitFor('the user key to be known', async () => /role admin/.test(await tryKey(userKey)));
    assert.equal(await sessionCookie(), undefined);

    await field.fill(stack.key);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Models', exact: true }).waitFor();
    const cookie = await sessionCookie();
    assert.ok(cookie);
    assert.deepEqual(
      [cookie.httpOnly, cookie.sameSite, cookie.path, cookie.secure],
      [true, 'Strict', '/dashboard', false],
    );
    assert.doesNotMatch(cookie.value, /er-/);
    const kept = await page.evaluate(
      'JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}])',
    );
    assert.equal(kept, '["",{},{}]');
    assert.ok(!page.url().includes(stack.key));

    await page.reload();
    await page.getByRole('heading', { name: 'Models', exact: true }).waitFor();
    await page.getByRole('button', { name: 'Log out' }).click();
    await field.waitFor();
    assert.equal(await sessionCookie(), undefined);
    assert.equal(
      (await askWithCookie('/dashboard/events', cookie.value)).status,
      401,
      'ended on the server too',
    );
  });

  test('a session reads the dashboard and nothing else; a key in the address becomes a session', async () => {
    const page = await openWindow();
    await page.goto(`${stack.url}/dashboard?api_key=${stack.key}`);
    await page.getByRole('heading', { name: 'Models', exact: true }).waitFor();
    assert.equal(page.url(), `${stack.url}/dashboard`);
    const { value } = (await sessionCookie()) ?? { value: '' };
    assert.equal((await askWithCookie('/dashboard/session', value)).status, 200);
    for (const path of [
      '/admin/status',
      '/metrics',
      '/v1/models',
      '/dashboard/other',
      '/engines/embedding/health',
    ]) {
      assert.equal((await askWithCookie(path, value)).status, 401, path);
    }
    for (const path of ['/dashboard', '/dashboard/events', '/dashboard/session', '/admin/keys']) {
      assert.equal((await askWithCookie(path, value, 'POST')).status, 401, path);
    }
    const slash = await fetch(`${stack.url}/dashboard/?x=1`, {
      headers: { accept: 'text/html' },
      redirect: 'manual',
    });
    assert.deepEqual([slash.status, slash.headers.get('location')], [308, '../dashboard?x=1']);
    const withKey = await fetch(`${stack.url}/dashboard`, {
      headers: { authorization: `Bearer ${stack.key}` },
    });
    assert.equal(withKey.status, 200);
    assert.equal((await fetch(`${stack.url}/dashboard`)).status, 401);
    assert.equal((await fetch(`${stack.url}/dashboard/assets/page.js`)).status, 200);
    assert.equal((await fetch(`${stack.url}/dashboard/assets/..%2f..%2fmetrics.js`)).status, 401);
  });

  test('shows models, GPUs, traffic, queue, cache, workers and errors; loads nothing from elsewhere and breaks no policy', async t => {
    const load = startLoad({
      ...stack,
      connections: 4,
      until: t.signal,
      body: id => ({ input: `about ${id}` }),
    });
    await load.answersMore(50);
    const refused = await fetch(`${stack.url}/v1/embeddings`, {
      method: 'POST',
      headers: { authorization: `Bearer ${stack.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ input: 'a', model: 'no-such-model' }),
    });
    const page = await openWindow();
    await logIn(page);
    await page.getByText(refused.headers.get('x-request-id') ?? '').waitFor();
    await load.answersMore(50);
    await page
      .getByRole('definition')
      .filter({ hasText: /[\d.]+ms|[\d.]+ ms/ })
      .first()
      .waitFor();
    await keepScreenshot(page, 'under load');
    await load.stop();
    const text = (await page.locator('#app').textContent()) ?? '';
    for (const wanted of [
      /Ready/,
      /Qwen3-Embedding-0\.6B/,
      /NVIDIA H200, 41 °C, 121 W/,
      /GPU 0 busy35 %/,
      /20 GiB of 80 GiB/,
      /Requests[\d.,]+\/s/,
      /Latency p99[\d.,]+ (ms|s)/,
      /Success[\d.]+ %/,
      /In flight\d+ of 500/,
      /Queue and batches/,
      /Cache, [\d,]+ entries/,
      /gateway3 of 3/,
      /404 model_not_found \/v1\/embeddings/,
      /There is no such model here/,
    ]) {
      assert.match(text, wanted);
    }
    assert.deepEqual([...addresses], [stack.url]);
    assert.deepEqual(complaints, []);
    const { headers } = await fetch(`${stack.url}/dashboard`, {
      headers: { authorization: `Bearer ${stack.key}` },
    });
    assert.match(
      headers.get('content-security-policy') ?? '',
      /^default-src 'none'; script-src 'self'; style-src 'self'/,
    );
    assert.doesNotMatch(headers.get('content-security-policy') ?? '', /unsafe|sha256/);
  });

  test('shows keys by name with their use, and the quality that callers reported', async () => {
    const withKey = (path: string, body: object) =>
      fetch(`${stack.url}${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${stack.key}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    const ranking = await withKey('/v1/rerank', { query: 'a', documents: ['one', 'two'] });
    const { results } = (await ranking.json()) as { results: { index: number }[] };
    const answer = await withKey('/v1/feedback', {
      request_id: ranking.headers.get('x-request-id'),
      relevant: [results[0]?.index],
      rating: 5,
    });
    assert.equal(answer.status, 200);
    const page = await openWindow();
    await logIn(page);
    const feedback = page.getByRole('group', { name: 'Feedback by model' });
    await feedback.getByRole('row', { name: /reranker in all/ }).waitFor();
    assert.match((await feedback.textContent()) ?? '', /rerankerin all1111/);
    const row = page
      .getByRole('group', { name: 'Keys and their use' })
      .getByRole('row', { name: /^default/ });
    await row.waitFor();
    assert.match((await row.textContent()) ?? '', /^defaultadmin[\d,]+10,000,000/);
    assert.ok(!(await page.content()).includes(stack.key));
  });

  test('a model that is stopped while the page is open shows within 3 s, and so does its return', async () => {
    const page = await openWindow();
    await logIn(page);
    await model(page, 'reranker').getByText('ready', { exact: true }).first().waitFor();
    const file = runPaths.modelStatus(stack.runDir, 'reranker');
    const isReady = () => readStatusFile(file)?.state === 'ready';

    const stopping = stack.run('models', 'stop', 'reranker');
    await waitFor('the supervisor to stop it', () => !isReady(), { timeoutMs: 30_000, intervalMs: 10 });
    await page
      .locator('[data-role=reranker] header')
      .getByText(/not ready|loading/)
      .waitFor({ timeout: promisedMs });
    assert.equal((await stopping).code, 0);
    await page.getByText('Not ready', { exact: true }).waitFor();

    const starting = stack.run('models', 'start', 'reranker');
    await waitFor('the supervisor to call it ready', isReady, { timeoutMs: 30_000, intervalMs: 10 });
    await page
      .locator('[data-role=reranker] header')
      .getByText('ready', { exact: true })
      .waitFor({ timeout: promisedMs });
    assert.equal((await starting).code, 0);
  });

  test('a model server that is killed shows within 3 s', async () => {
    const page = await openWindow();
    await logIn(page);
    const header = page.locator('[data-role=embedding] header');
    await header.getByText('ready', { exact: true }).waitFor();
    const file = runPaths.modelStatus(stack.runDir, 'embedding');
    const pid = readStatusFile(file)?.pid;
    assert.ok(pid);
    process.kill(pid, 'SIGKILL');
    await header.getByText(/not ready|loading/).waitFor({ timeout: promisedMs });
    await header.getByText('ready', { exact: true }).waitFor({ timeout: 30_000 });
  });

  test('a reload ends the streams cleanly, holds no old worker up, and the page comes back by itself', async () => {
    const page = await openWindow();
    await logIn(page);
    const streams = await Promise.all([1, 2, 3, 4].map(() => openStream()));
    const old = pidsOf(stack.runDir, 'gateway');
    const { code, output } = await stack.run('reload');
    assert.equal(code, 0, output);
    for (const ending of streams.map(({ end }) => end)) assert.equal(await ending, 'complete');
    await waitFor(
      'the old workers to be gone',
      () => !pidsOf(stack.runDir, 'gateway').some(pid => old.includes(pid)),
      {
        timeoutMs: 15_000,
      },
    );
    await page.getByText(/^live, /).waitFor();
    assert.deepEqual(complaints, []);
  });

  test('a killed monitor shows as a lost connection, and its successor is found', async () => {
    const page = await openWindow();
    await logIn(page);
    // The page finds the successor when the test lets it.
    await page.route('**/dashboard/events', route => route.abort());
    process.kill(pidOf(stack.runDir, 'monitor'), 'SIGKILL');
    await page.getByRole('alert').filter({ hasText: 'No connection' }).waitFor();
    assert.deepEqual(await accessibilityProblems(page), [], 'what is old can be read as well');
    assert.equal(await page.locator('main.stale').count(), 1);
    await keepScreenshot(page, 'stale');
    await page.unroute('**/dashboard/events');
    await page.getByText(/^live, /).waitFor({ timeout: 20_000 });
  });

  test('a key that is removed ends its sessions and streams', async () => {
    const { keys } = JSON.parse(readFileSync(stack.keysFile, 'utf8'));
    const key = newKey();
    writeFileSync(
      stack.keysFile,
      JSON.stringify({ keys: [...keys, { key, name: 'second', role: 'admin' }] }),
    );
    const page = await openWindow();
    await waitFor('the key to be known', async () => {
      const answer = await fetch(`${stack.url}/dashboard`, { headers: { authorization: `Bearer ${key}` } });
      return answer.status === 200;
    });
    await logIn(page, key);
    await page.getByText('key second').waitFor();
    const { end } = await openStream(key);
    writeFileSync(stack.keysFile, JSON.stringify({ keys }));
    await page.getByText('The session is over.').waitFor({ timeout: 20_000 });
    assert.equal(await end, 'complete');
  });

  test('the loopback port shows the same without a login', async () => {
    const page = await openWindow();
    await page.goto(`${stack.monitorUrl}/dashboard?api_key=for-nothing`);
    await page.getByRole('heading', { name: 'Models', exact: true }).waitFor();
    assert.equal(await page.getByRole('button', { name: 'Log out' }).count(), 0);
    assert.deepEqual(complaints, []);
  });

  test('one stream is open, however often the page is hidden and shown; a refused one is told in the words of the server', async () => {
    const page = await openWindow();
    const asked = { session: 0, events: 0 };
    page.on('request', request => {
      const [, name] = /\/dashboard\/(session|events)$/.exec(request.url()) ?? [];
      if (name === 'session' || name === 'events') asked[name]++;
    });
    const shown = Promise.withResolvers<void>();
    await page.route('**/dashboard/session', async route => {
      if (asked.session > 1) await shown.promise;
      await route.continue().catch(() => {}); // the page may have given it up
    });
    await page.goto(`${stack.monitorUrl}/dashboard`);
    await waitFor('the stream to be opened', () => asked.session > 1, { intervalMs: 10 });
    await page.evaluate('for (let i = 0; i < 4; i++) document.dispatchEvent(new Event("visibilitychange"))');
    shown.resolve();
    await page.getByRole('heading', { name: 'Models', exact: true }).waitFor();
    await delay(600);
    assert.equal(asked.events, 1);

    const message = '100 dashboards are open; close some.';
    await page.route('**/dashboard/events', route =>
      route.fulfill({
        status: 503,
        contentType: 'application/json',
        body: JSON.stringify({ error: { message } }),
      }),
    );
    await page.reload();
    await page.getByRole('alert').filter({ hasText: message }).waitFor();
  });

  for (const [name, options] of Object.entries({
    light: { colorScheme: 'light', viewport: { width: 1400, height: 900 } },
    dark: { colorScheme: 'dark', viewport: { width: 1400, height: 900 } },
    phone: { colorScheme: 'light', viewport: { width: 360, height: 740 } },
    'dark phone': { colorScheme: 'dark', viewport: { width: 360, height: 740 } },
  } as const)) {
    test(`${name}: axe finds nothing, no part is wider than the window, and the keyboard reaches everything`, async () => {
      const page = await openWindow(options);
      await page.goto(`${stack.url}/dashboard`);
      await page.getByLabel('Admin API key').waitFor();
      await keepScreenshot(page, `login, ${name}`);
      assert.deepEqual(await accessibilityProblems(page), []);
      assert.equal(await page.evaluate('document.activeElement.id'), 'key');
      await logIn(page);
      assert.deepEqual(await accessibilityProblems(page), []);
      await keepScreenshot(page, `ready, ${name}`);
      const chart = page.getByRole('slider', { name: 'Latency, by time' });
      await chart.focus();
      await page.keyboard.press('Home');
      assert.equal(await chart.getAttribute('aria-valuenow'), '0');
      assert.match((await chart.getAttribute('aria-valuetext')) ?? '', /^[\d:]{8}: p50 .*, p95 .*, p99 /);
      assert.ok(
        await page.evaluate('document.documentElement.scrollWidth <= innerWidth'),
        'sideways scrolling',
      );
      const wanted = await page.locator('button, .scroll, [role=slider]').count();
      const reached = new Set<string>();
      for (let press = 0; press <= wanted; press++) {
        await page.keyboard.press('Tab');
        reached.add(
          await page.evaluate(
            'document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent',
          ),
        );
      }
      for (const label of ['Log out', 'Servers of Qwen3-Embedding-0.6B', 'Workers and processes']) {
        assert.ok(reached.has(label), `${label} is not among ${[...reached]}`);
      }
    });
  }
});

/** A stream of the dashboard's events, read to its end: `complete`, or why it broke. */
async function openStream(key = stack.key): Promise<{ end: Promise<string> }> {
  const answer = await fetch(`${stack.url}/dashboard/events`, {
    headers: { authorization: `Bearer ${key}` },
    signal: leaving.signal,
  });
  assert.equal(answer.status, 200);
  const end = answer.text().then(
    () => 'complete',
    error => `${error.cause ?? error}`,
  );
  return { end };
}
