import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, describe, it, type TestContext } from 'node:test';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import { membersOf, Supervised } from '../integration/fixtures/supervised.ts';
import { vllmEnvironment, vllmMaxModelLen, vllmPaths } from '../kit/vllm/paths.ts';
import { waitFor } from '../kit/wait-for.ts';

/** One vLLM under its supervisor, killed in every way. Each start takes half a minute of a core. */

const timeoutMs = 240_000;
const root = join(import.meta.dirname, '../..');

const realVllm = (
  t: TestContext,
  role: 'embedding' | 'reranker' = 'embedding',
  environment: Record<string, string> = {},
) =>
  Supervised.create(t, {
    role,
    engine: 'vllm',
    vllmCommand: vllmPaths.command,
    timeoutMs,
    environment: {
      ...vllmEnvironment,
      [`ER_MODELS_${role.toUpperCase()}_PATH`]: vllmPaths.models[role],
      [`ER_MODELS_${role.toUpperCase()}_MAX_MODEL_LEN`]: String(vllmMaxModelLen),
      ...environment,
    },
  });
const gone = (pgid: number) =>
  waitFor('every process of the group to end', () => membersOf(pgid).length === 0, { timeoutMs: 60_000 });
/** A process of the group by its title; vLLM sets it. */
const partOf = (pgid: number, title: string) => {
  const found = membersOf(pgid).find(pid => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(title));
  assert.ok(found, `no ${title} in the group`);
  return found;
};

describe('a real vLLM', { timeout: 3_600_000 }, () => {
  before(() => {
    assert.ok(existsSync(vllmPaths.stamp), 'no vLLM here: run node test/kit/vllm/install.ts');
  });

  it('goes from starting to ready by loading and testing, and says meanwhile what it does', async t => {
    const place = await realVllm(t);
    const supervisor = place.start();
    const seen = new Map<string, Set<string>>();
    await waitFor(
      'readiness',
      () => {
        const status = place.status();
        if (!status) return false;
        seen.set(status.state, (seen.get(status.state) ?? new Set()).add(status.detail));
        return status.state === 'ready';
      },
      { timeoutMs, intervalMs: 20 },
    );
    assert.deepEqual([...seen.keys()], ['starting', 'loading', 'testing', 'ready']);
    assert.ok([...(seen.get('loading') ?? [])].some(detail => detail.startsWith('loading weights')));
    const pgid = await place.untilReady(supervisor);
    assert.equal(membersOf(pgid).length >= 3, true, 'vllm, EngineCore and Worker');
    assert.equal(await supervisor.stop(), 0);
    assert.deepEqual(membersOf(pgid), []);
  });

  for (const [what, victim] of [
    ['its parent', null],
    ['EngineCore', 'VLLM::EngineCore'],
    ['Worker', 'VLLM::Worker'],
  ] as const) {
    it(`leaves nothing after kill -9 of ${what}, and counts as failed`, async t => {
      const place = await realVllm(t);
      const supervisor = place.start();
      const pgid = await place.untilReady(supervisor);
      const sockets = runPaths.modelSockets(place.runDir, 'embedding');
      assert.ok(readdirSync(sockets).length > 0, 'its sockets are in the run folder');
      process.kill(victim === null ? pgid : partOf(pgid, victim), 'SIGKILL');
      assert.equal(await supervisor.exited, 1);
      assert.deepEqual(membersOf(pgid), []);
      assert.equal(place.status()?.state, 'stopped');
      const why = victim === null ? /was killed by SIGKILL/ : /ended by itself with exit code 0/;
      assert.match(place.status()?.lastError ?? '', why);
      assert.equal(existsSync(sockets), false);
    });
  }

  it('is stopped while it loads, though it loses the first SIGTERM', async t => {
    const place = await realVllm(t);
    const supervisor = place.start();
    // Later than its first lines: what is ended while Python imports takes the first SIGTERM.
    const isLoading = () => {
      const status = place.status();
      return status?.state === 'loading' && status.detail !== 'starting the program';
    };
    await waitFor('it to load', isLoading, { timeoutMs, intervalMs: 20 });
    const pgid = place.status()?.pid ?? 0;
    assert.equal(await supervisor.stop(), 0);
    assert.deepEqual(membersOf(pgid), []);
  });

  it('ends with its supervisor (kill -9), and a next one finds the way free', async t => {
    const place = await realVllm(t);
    const first = place.start();
    const pgid = await place.untilReady(first);
    first.kill('SIGKILL');
    await first.exited;
    const second = place.start();
    await waitFor('the second to load', () => place.status()?.state === 'loading', { timeoutMs });
    await gone(pgid);
    assert.equal(await second.stop(), 0);
  });

  // What waits for the stopped part must not pass for work.
  for (const victim of ['VLLM::EngineCore', 'VLLM::Worker']) {
    it(`that hangs (kill -STOP of ${victim}: /health 200, no answers) is found within 30 s`, async t => {
      const place = await realVllm(t);
      const supervisor = place.start();
      const pgid = await place.untilReady(supervisor);
      process.kill(partOf(pgid, victim), 'SIGSTOP');
      const begin = performance.now();
      assert.equal((await fetch(`http://127.0.0.1:${place.port}/health`)).status, 200);
      const isFound = () => !['ready', 'degraded'].includes(place.status()?.state ?? '');
      await waitFor('the hang to be found', isFound, { timeoutMs: 60_000, intervalMs: 20 });
      assert.ok(performance.now() - begin < 30_000, `${performance.now() - begin} ms`);
      assert.equal(await supervisor.exited, 1);
      assert.match(place.status()?.lastError ?? '', /^it hangs/);
      assert.deepEqual(membersOf(pgid), []);
    });
  }

  it('is not started at all on a taken port: known in a moment', async t => {
    const place = await realVllm(t);
    const foreign = createServer().listen(place.port, '127.0.0.1');
    t.after(() => foreign.close());
    assert.equal(await place.start().exited, 78);
    assert.ok(!existsSync(join(place.logsDir, 'embedding_model.log')), 'vllm was not run');
  });

  it('that refuses a flag ends in failed, which names the flag', async t => {
    const place = await realVllm(t, 'embedding', { ER_MODELS_EMBEDDING_EXTRA_ARGS: '["--no-such-flag"]' });
    assert.equal(await place.start().exited, 78);
    assert.equal(place.status()?.state, 'failed');
    assert.match(place.status()?.detail ?? '', /exit code 2: .*unrecognized arguments: --no-such-flag/);
  });

  it('without a model in its folder fails with the reason in one line', async t => {
    const empty = mkdtempSync(join(tmpdir(), 'er-empty-'));
    t.after(() => rmSync(empty, { recursive: true }));
    const place = await realVllm(t, 'embedding', { ER_MODELS_EMBEDDING_PATH: empty });
    assert.equal(await place.start().exited, 1);
    const reason = place.status()?.lastError ?? '';
    assert.match(reason, /exit code 1: .*(config\.json|Invalid repository ID|model_type|Repo id)/);
    assert.ok(!reason.includes('\n'));
  });

  it('reranks by our template, and one with the newline lost never becomes ready', async t => {
    const good = await realVllm(t, 'reranker');
    const supervisor = good.start();
    await good.untilReady(supervisor);
    assert.equal(await supervisor.stop(), 0);

    const template = readFileSync(join(root, 'supervisor/templates/qwen3_reranker.jinja'), 'utf8');
    const shorter = join(good.folder, 'one-newline-less.jinja');
    writeFileSync(shorter, template.slice(0, -1));
    const args = JSON.stringify(['--chat-template', shorter]);
    const bad = await realVllm(t, 'reranker', { ER_MODELS_RERANKER_EXTRA_ARGS: args });
    assert.equal(await bad.start().exited, 1);
    assert.match(bad.status()?.lastError ?? '', /its template is not Qwen's: pairs score/);
  });
});
