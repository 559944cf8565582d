import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type HealthWatch, watchHealth } from '../../../supervisor/src/health-watch.ts';

const times = { everyMs: 20, doubtMs: 1_000, hungMs: 2_500, busyMs: 60_000 };

/** What a watch came to within a time (null: nothing), and what it said on the way. */
async function watched(withinMs: number, change: Partial<HealthWatch>) {
  const said: string[] = [];
  const end = await watchHealth({
    url: 'http://127.0.0.1:1',
    test: () => new Promise(() => {}),
    cpuSeconds: null,
    onDoubt: why => said.push(why),
    onWell: () => said.push('well'),
    stop: AbortSignal.timeout(withinMs),
    times,
    ...change,
  });
  return { end, said };
}

/** A server whose /metrics holds this count, as vLLM writes it; null is no answer. */
async function counting(t: TestContext, count: () => number | null): Promise<string> {
  const server = createServer((_, response) => {
    const value = count();
    if (value === null) response.writeHead(500).end();
    else response.end(`vllm:prompt_tokens_total{model_name="m"} ${value}\n`);
  }).listen(0, '127.0.0.1');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('watchHealth()', { concurrency: true }, () => {
  it('finds a server that neither answers nor works, and says first that it is in doubt', async () => {
    const { end, said } = await watched(20_000, {});
    assert.match(end ?? '', /^it hangs/);
    assert.match(said[0] ?? '', /^no answer to its test for \d+ s, and no other work done/);
  });

  it('gives a server its time whose counters move', async t => {
    let count = 0;
    const { end, said } = await watched(5_000, { url: await counting(t, () => count++) });
    assert.deepEqual([end, said], [null, []]);
  });

  it('is not put off by counters that can be read only later, and stand still', async t => {
    let asked = 0;
    const url = await counting(t, () => (asked++ === 0 ? null : 7));
    const begin = performance.now();
    assert.match((await watched(20_000, { url })).end ?? '', /^it hangs/);
    assert.ok(performance.now() - begin < times.hungMs + 1_500, `${performance.now() - begin} ms`);
  });

  it('gives a server on the CPU its time that computes, but not for ever', async () => {
    const cpuSeconds = () => performance.now() / 1_000;
    assert.equal((await watched(5_000, { cpuSeconds })).end, null);
    const { end } = await watched(20_000, { cpuSeconds, times: { ...times, busyMs: 1_000 } });
    assert.match(end ?? '', /^it hangs/);
  });

  it('takes the ticking of an idle program for no work', async () => {
    const cpuSeconds = () => performance.now() / 50_000;
    assert.match((await watched(20_000, { cpuSeconds })).end ?? '', /^it hangs/);
  });

  it('ends a server after three wrong answers in a row, and forgets them after a right one', async () => {
    const answers = ['wrong', 'wrong', null, 'wrong', 'wrong', 'worse'];
    const test = async () => answers.shift() ?? null;
    const { end, said } = await watched(5_000, { test });
    assert.equal(end, 'it answers wrongly: worse');
    assert.deepEqual(said.slice(1, 4), ['its test went wrong: wrong', 'well', 'its test went wrong: wrong']);
  });

  it('is well again after an answer that was late', async () => {
    let asked = 0;
    const test = async () => {
      if (asked++ === 0) await delay(1_800);
      return null;
    };
    const { end, said } = await watched(3_000, { test });
    assert.equal(end, null);
    assert.match(said[0] ?? '', /^no answer/);
    assert.ok(said.includes('well'));
  });
});
