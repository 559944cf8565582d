import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { awaitReadiness, type ReadinessWatch } from '../../../supervisor/src/await-readiness.ts';
import { type ModelServer, warmUpTexts } from '../../../supervisor/src/readiness.ts';

const limits = { loadingMs: 2_000, testingMs: 2_000, retriesMs: 60_000 };
const idle = { outputBytes: () => 0, cpuSeconds: () => 0 };

const reranker: ModelServer = {
  role: 'reranker',
  engine: 'vllm',
  url: 'http://127.0.0.1:1',
  servedName: 'R',
  dimensions: null,
  hasRealWeights: true,
  hasTemplate: true,
  maxModelLen: 256,
};

/** The outcome, and what was said on the way. */
async function outcomeOf(server: ModelServer, change: Partial<ReadinessWatch> = {}) {
  const warnings: string[] = [];
  const outcome = await awaitReadiness({
    server,
    log: { newDetail: () => null },
    work: idle,
    onDetail: () => {},
    onTesting: () => {},
    onWarning: warning => warnings.push(warning),
    stop: new AbortController().signal,
    limits,
    ...change,
  });
  return { outcome, warnings };
}

/** A server that answers /health, and the rest by `answer`: null leaves the caller waiting. */
async function serverThat(
  t: TestContext,
  answer: (path: string, body: Record<string, string[]>) => object | null,
) {
  const listener: RequestListener = async (request, response) => {
    if (request.url === '/health') return response.end();
    const text = Buffer.concat(await request.toArray()).toString();
    const found = answer(request.url ?? '', JSON.parse(text));
    if (found) response.writeHead('error' in found ? 400 : 200).end(JSON.stringify(found));
  };
  const server = createServer(listener).listen(0, '127.0.0.1');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const classified = { data: [{ probs: [0.9] }, { probs: [0.01] }], usage: { prompt_tokens: 9 } };
const ranked = {
  results: [
    { index: 0, relevance_score: 0.9 },
    { index: 1, relevance_score: 0.01 },
  ],
  usage: { total_tokens: 9 },
};

describe('awaitReadiness()', () => {
  it('gives up on a server that loads and neither prints nor works', async () => {
    assert.match(
      (await outcomeOf(reranker)).outcome ?? '',
      /^it does not come up: no output and no work for 2 s/,
    );
  });

  for (const [what, work] of [
    ['prints', { ...idle, outputBytes: () => performance.now() }],
    ['computes', { ...idle, cpuSeconds: () => performance.now() }],
  ] as const) {
    it(`waits on while it ${what}`, async () => {
      const stop = AbortSignal.timeout(4_500);
      assert.match((await outcomeOf(reranker, { work, stop })).outcome ?? '', /was given up/);
    });
  }

  it('calls a server hung that listens, and neither answers its first test nor works', async t => {
    const url = await serverThat(t, () => null);
    assert.match(
      (await outcomeOf({ ...reranker, url })).outcome ?? '',
      /^it hangs: it listens, and has neither/,
    );
  });

  it('is content when only the warm-up fails, and says so', async t => {
    const refused = { error: { message: 'too long' } };
    const url = await serverThat(t, (path, { documents = [] }) =>
      path === '/classify' ? classified : documents.length > 2 ? refused : ranked,
    );
    const { outcome, warnings } = await outcomeOf({ ...reranker, url });
    assert.equal(outcome, null);
    assert.match(warnings.join(), /^the warm-up failed, .*too long/);
  });

  it("tests a reranker that takes no template by Qwen's whole prompt", async t => {
    const asked: string[] = [];
    const bare = { results: ranked.results.map(result => ({ ...result, relevance_score: 0.3 })) };
    const url = await serverThat(t, (path, { input = [] }) => {
      asked.push(path);
      if (path === '/classify') assert.match(input[0] ?? '', /^<\|im_start\|>system\n/);
      return path === '/classify' ? classified : bare;
    });
    assert.equal((await outcomeOf({ ...reranker, url, hasTemplate: false })).outcome, null);
    assert.equal(asked[0], '/classify');
  });
});

describe('warmUpTexts()', () => {
  it('fit into a model of short inputs, and are of some 400 tokens elsewhere', () => {
    const longest = (maxModelLen: number) =>
      Math.max(...warmUpTexts(maxModelLen).map(text => text.split(' ').length));
    assert.ok(longest(256) < 100, `${longest(256)}`);
    assert.ok(longest(32_768) > 200);
    assert.equal(warmUpTexts(16).length, 16);
  });
});
