import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import type { ModelDetails } from '../../apps/cli/src/model-details.ts';
import { startLoad } from '../kit/load.ts';
import { runProgram } from '../kit/run-program.ts';
import { projectRoot, type Stack, startStack } from '../kit/stack.ts';
import { vllmEnvironment, vllmMaxModelLen, vllmPaths } from '../kit/vllm/paths.ts';
import { waitFor } from '../kit/wait-for.ts';

/** Two real vLLM servers for embeddings; the reranker is the built-in engine, which needs no memory. */
describe('two vLLM servers of one model', { timeout: 2_400_000 }, () => {
  let stack: Stack;

  before(
    async () => {
      assert.ok(existsSync(vllmPaths.stamp), 'no vLLM here: run node test/kit/vllm/install.ts');
      stack = await startStack({
        workers: 2,
        startTimeoutMs: 600_000,
        env: {
          ...vllmEnvironment,
          ER_VLLM_COMMAND: vllmPaths.command,
          ER_VLLM_DEVICE: 'cpu',
          ER_MODELS_EMBEDDING_PATH: vllmPaths.models.embedding,
          ER_MODELS_EMBEDDING_MAX_MODEL_LEN: String(vllmMaxModelLen),
          ER_MODELS_EMBEDDING_REPLICAS: '2',
          ER_MODELS_RERANKER_PATH: '/no/such/model',
          ER_LIMITS_REQUESTS_PER_MINUTE: '10000000',
        },
      });
      await waitFor('the second server', async () => (await servers()).every(({ isReady }) => isReady), {
        timeoutMs: 400_000,
        intervalMs: 1_000,
      });
    },
    { timeout: 1_200_000 },
  );
  after(async () => {
    await stack?.stop();
  });

  const servers = async () => {
    const { output } = await stack.run('models', 'status', 'embedding', '--json');
    return JSON.parse(output.slice(output.indexOf('['))) as ModelDetails[];
  };

  it('are restarted one after the other under load, and no request fails', async t => {
    const old = (await servers()).map(({ pid }) => pid);
    // Few callers: the servers that start need the cores.
    const load = startLoad({
      ...stack,
      connections: 2,
      until: t.signal,
      body: id => ({ input: `about ${id} of ${performance.now()}` }),
    });
    await load.answersMore(20);
    // Longer than stack.run() waits: under load each start takes minutes on two cores.
    const restart = ['apps/cli/bootstrap.cjs', 'models', 'restart', 'embedding'];
    const { code, output } = await runProgram(process.execPath, restart, {
      cwd: projectRoot,
      env: stack.env,
      timeoutMs: 900_000,
    });
    assert.equal(code, 0, output);
    await load.answersMore(20);
    assert.deepEqual((await load.stop()).failures, []);
    const now = await waitFor('both to be ready', async () => {
      const seen = await servers();
      return seen.every(({ state }) => state === 'ready') && seen;
    });
    for (const [at, { pid }] of now.entries()) {
      assert.ok(pid !== null && !old.includes(pid), `server ${at} is the old one`);
    }
  });
});
