import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import type { ModelDetails } from '../../apps/cli/src/model-details.ts';
import { fakeVllmSettings } from '../kit/fake-vllm.ts';
import { startLoad } from '../kit/load.ts';
import { listProcesses } from '../kit/run-pm2.ts';
import { type Stack, startStack } from '../kit/stack.ts';
import { waitFor } from '../kit/wait-for.ts';

/** Two servers for embeddings and one reranker, all posing as vLLM. */
const folder = mkdtempSync(join(tmpdir(), 'er-models-'));
const failFile = join(folder, 'starts-to-fail');
let stack: Stack;

before(async () => {
  const env = fakeVllmSettings(folder, {
    ER_MODELS_EMBEDDING_REPLICAS: '2',
    FAKE_VLLM_BOOT_MS: '1500',
    FAKE_VLLM_STEP_MS: '5',
    FAKE_VLLM_FAIL_FILE: failFile,
  });
  stack = await startStack({ workers: 2, env });
});
after(async () => {
  await stack?.stop();
  rmSync(folder, { recursive: true });
});

const models = async () => {
  const { code, output } = await stack.run('models', 'status', '--json');
  assert.equal(code, 0, output);
  return JSON.parse(output.slice(output.indexOf('['))) as ModelDetails[];
};
const embed = () =>
  fetch(`${stack.url}/v1/embeddings`, {
    method: 'POST',
    headers: { authorization: `Bearer ${stack.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ input: `text of ${performance.now()}` }),
  });
const load = ({ signal: until }: TestContext) =>
  startLoad({
    ...stack,
    connections: 8,
    body: id => ({ input: `about ${id} of ${performance.now()}` }),
    until,
  });

describe('npm run models', () => {
  test('shows every server with its figures, as a table and as JSON', async t => {
    // The second replica starts when the first is ready; npm start waits for the first.
    await waitFor('both replicas', async () => (await models()).every(({ isReady }) => isReady), {
      timeoutMs: 30_000,
    });
    // A process that died of a model that was still loading would have been started again, unseen.
    const restarted = (await listProcesses(stack)).filter(({ pm2_env }) => pm2_env.restart_time > 0);
    assert.deepEqual(restarted, []);
    const running = load(t);
    await running.answersMore(50);
    const seen = await models();
    await running.stop();
    assert.deepEqual(
      seen.map(({ app, engine, state, restarts, port }) => [app, engine, state, restarts, port]),
      [
        ['embedding', 'vllm', 'ready', 0, Number(stack.env.ER_MODELS_EMBEDDING_PORT)],
        ['embedding-1', 'vllm', 'ready', 0, Number(stack.env.ER_MODELS_EMBEDDING_PORT) + 10],
        ['reranker', 'vllm', 'ready', 0, Number(stack.env.ER_MODELS_RERANKER_PORT)],
      ],
    );
    const [embedding] = seen;
    assert.ok(embedding);
    assert.ok(
      (embedding.inputsPerSecond ?? 0) > 0 && (embedding.p50Ms ?? 0) > 0 && embedding.inFlight !== null,
    );
    assert.ok((embedding.memoryBytes ?? 0) > 20e6 && embedding.pid && embedding.since);
    assert.equal(embedding.logFile, join(stack.logsDir, 'embedding_model.log'));

    const { output } = await stack.run('models');
    assert.match(
      output,
      /^model +engine +state +since +restarts +pid +port +gpu +memory +calls +inputs\/s +p50$/m,
    );
    assert.match(
      output,
      /^embedding-1 +vllm +ready +\d+ \w+ +0 +\d+ +\d+ +- +0\.\d GiB +\d+ +[\d.]+ +\d+ ms$/m,
    );
    assert.match(output, /^embedding: Qwen3-Embedding-0\.6B; answers on port .*embedding_model\.log$/m);
  });

  test('restarts two servers one after the other under load, and fails no request', async t => {
    const before = await models();
    const running = load(t);
    await running.answersMore(50);
    const { code, output } = await stack.run('models', 'restart', 'embedding');
    assert.equal(code, 0, output);
    await running.answersMore(50);
    const { failures } = await running.stop();
    assert.deepEqual(failures, []);
    const afterwards = await models();
    for (const at of [0, 1]) assert.notEqual(afterwards[at]?.pid, before[at]?.pid);
    assert.equal(afterwards[2]?.pid, before[2]?.pid, 'the reranker was not touched');
    assert.match(output, /Restarting server 1 of 2 .*[\s\S]*Restarting server 2 of 2/);
  });

  test('says while a model loads what it does and how long it will take, in /health and in the 503', async () => {
    const restarting = stack.run('models', 'restart', 'reranker');
    const reason = await waitFor('the loading in /health', async () => {
      const health = await fetch(`${stack.url}/health`);
      const text = ((await health.json()) as { reason: string | null }).reason ?? '';
      if (!text.includes('loading:')) return null;
      const seconds = Number(health.headers.get('retry-after'));
      assert.ok(seconds >= 1 && seconds <= 10, `Retry-After of ${seconds} s for a start of 2 s`);
      return text;
    });
    assert.match(reason, /^Qwen3-Reranker-0\.6B: loading: .* \(\d s, about \d+ s to go\)$/);
    const answer = await fetch(`${stack.url}/v1/rerank`, {
      method: 'POST',
      headers: { authorization: `Bearer ${stack.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ query: 'q', documents: ['d'] }),
    });
    if (answer.status !== 200) {
      assert.equal(answer.status, 503);
      assert.ok(Number(answer.headers.get('retry-after')) <= 10);
    }
    await answer.body?.cancel();
    const { code, output } = await restarting;
    assert.equal(code, 0, output);
    assert.match(output, /reranker has one server: its requests get 503 until it is back/);
  });

  test('shows the end of the logs of the models', async () => {
    const { code, output } = await stack.run('models', 'logs', 'embedding', '-n', '5');
    assert.equal(code, 0, output);
    assert.match(output, /==> .*embedding_model\.log <==\n[\s\S]*Application startup complete/);
    assert.match(output, /==> .*embedding-1_model\.log <==/);
  });

  test('ends a crash loop in failed: the reason in one line in status, /health and pm2 status; the other model goes on', async () => {
    const embedded = (await models())[0]?.pid;
    // The fifth failed start in a row is the last: four have been.
    await stack.pm2(['stop', 'reranker']);
    const record = { failedStarts: 4, lastError: 'it broke' };
    writeFileSync(join(stack.runDir, 'reranker.starts.json'), JSON.stringify(record));
    writeFileSync(failFile, '1');
    const { code, output } = await stack.run('models', 'start', 'reranker');
    assert.equal(code, 1, output);
    assert.match(output, /the model server reranker does not start: it broke/);
    const reranker = await waitFor(
      'the last start to fail',
      async () => (await models()).find(({ app, state }) => app === 'reranker' && state === 'failed'),
      { timeoutMs: 30_000, intervalMs: 500 },
    );
    assert.match(reranker.detail, /^gave up after 5 starts: .*Free memory on device/);
    await waitFor('/health to give the reason', async () => {
      const { reason } = (await (await fetch(`${stack.url}/health`)).json()) as { reason: string };
      return /^Qwen3-Reranker-0\.6B: failed: gave up after 5 starts: .*Free memory on device/.test(reason);
    });
    await waitFor('PM2 to show it', async () => {
      const listed = (await listProcesses(stack)).find(({ name }) => name === 'reranker');
      return listed?.pm2_env.status === 'stopped' && listed.pm2_env.exit_code === 78;
    });
    assert.equal((await models())[0]?.pid, embedded);
    const answer = await embed();
    assert.equal(answer.status, 200);
    const back = await stack.run('models', 'restart', 'reranker');
    assert.equal(back.code, 0, `what the supervisor before said is not the word of this one: ${back.output}`);
  });

  test('starts the one of two servers that does not run, and leaves the other alone', async () => {
    const before = await models();
    const second = (await listProcesses(stack)).filter(({ name }) => name === 'embedding')[1];
    await stack.pm2(['stop', String(second?.pm_id)]);
    const { code, output } = await stack.run('models', 'start', 'embedding');
    assert.equal(code, 0, output);
    const afterwards = await models();
    assert.equal(afterwards[0]?.pid, before[0]?.pid);
    assert.notEqual(afterwards[1]?.pid, before[1]?.pid);
    assert.equal(afterwards[1]?.state, 'ready');
  });
});

describe('npx er queue', () => {
  test('shows what waits, for whom and in which class, while a key of bulk work floods', async t => {
    const made = await stack.run('keys', 'create', 'nightly', '--priority', 'bulk', '--json');
    assert.equal(made.code, 0, made.output);
    const { key } = JSON.parse(made.output.slice(made.output.indexOf('{'))) as { key: string };
    const port = Number(stack.env.ER_MODELS_EMBEDDING_PORT);
    const slowDown = (fault: object) =>
      Promise.all(
        [port, port + 10].map(replica =>
          fetch(`http://127.0.0.1:${replica}/__fault`, { method: 'POST', body: JSON.stringify(fault) }),
        ),
      );
    // Slow, and more texts than two servers without a tokenizer take at once (64 calls of 64 each): some wait while the command starts.
    await slowDown({ mode: 'slow', ms: 1000 });
    const inputs = Array.from({ length: 2000 }, (_, index) => `text ${index}`);
    const flood = startLoad({
      url: stack.url,
      key,
      connections: 8,
      until: t.signal,
      body: id => ({ input: inputs.map(text => `${text} of ${id} ${performance.now()}`) }),
    });
    await waitFor(
      'its texts to wait',
      async () => {
        const { output } = await stack.run('queue');
        return /^embedding +nightly +bulk +\d+ +\d+$/m.test(output) && /ready +closed/.test(output);
      },
      { timeoutMs: 30_000 },
    );
    await slowDown({ mode: 'none' });
    assert.equal((await embed()).status, 200);
    assert.deepEqual((await flood.stop()).failures, []);
    const { output } = await stack.run('queue');
    assert.match(output, /^Nothing waits\.$/m);
  });
});

describe('npm run doctor', () => {
  test('examines the machine while the system runs, and finds its own ports well', async () => {
    const { output } = await stack.run('doctor', '--json');
    const findings = JSON.parse(output.slice(output.indexOf('['))) as {
      what: string;
      status: string;
      found: string;
    }[];
    const of = (what: string) => findings.find(finding => finding.what.startsWith(what));
    for (const what of [
      'Node',
      'PM2',
      'configuration',
      `port ${stack.env.ER_GATEWAY_PORT}`,
      'Redis',
      'vLLM for embedding',
    ]) {
      assert.equal(of(what)?.status, 'ok', `${what}: ${JSON.stringify(of(what))}`);
    }
    assert.match(of('files of embedding')?.found ?? '', /missing or empty: config\.json, tokenizer\.json/);
    assert.ok((await listProcesses(stack)).every(({ pm2_env }) => pm2_env.status === 'online'));
  });
});
