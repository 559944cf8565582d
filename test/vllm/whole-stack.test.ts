import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { runPaths } from '@er-gateway/shared/config/run-dir';
import type { Role } from '@er-gateway/shared/config/schema';
import { readModelProcess } from '@er-gateway/shared/model-process-status';
import OpenAI from 'openai';
import { startStack } from '../kit/stack.ts';
import { vllmEnvironment, vllmMaxModelLen, vllmPaths } from '../kit/vllm/paths.ts';
import { waitFor } from '../kit/wait-for.ts';

/** The whole system as `npm start` runs it, with a real vLLM behind both models. Started once: it takes a minute. */

const startTimeoutMs = 600_000;
/** A vLLM that was killed is started again by its supervisor, and loads. */
const recoveryTimeoutMs = 400_000;

const query = 'What is AI?';
const documents = [
  'AI is artificial intelligence',
  'AI helps humans',
  'Bananas are yellow',
  'Gravity is a force that attracts two bodies towards each other.',
  '北京是中国的首都。',
  '',
];

describe('gateway, scheduler and two vLLM servers', { timeout: 1_500_000 }, () => {
  let stack: Awaited<ReturnType<typeof startStack>>;
  let groups: number[] = [];

  before(
    async () => {
      assert.ok(existsSync(vllmPaths.stamp), 'no vLLM here: run node test/kit/vllm/install.ts');
      stack = await startStack({
        workers: 2,
        startTimeoutMs,
        env: {
          ...vllmEnvironment,
          ER_ENGINE: 'vllm',
          ER_VLLM_COMMAND: vllmPaths.command,
          ER_VLLM_DEVICE: 'cpu',
          ER_MODELS_EMBEDDING_PATH: vllmPaths.models.embedding,
          ER_MODELS_RERANKER_PATH: vllmPaths.models.reranker,
          ER_MODELS_EMBEDDING_MAX_MODEL_LEN: String(vllmMaxModelLen),
          ER_MODELS_RERANKER_MAX_MODEL_LEN: String(vllmMaxModelLen),
          // In bfloat16 the last bits, and with them the order of equal scores, go by what else is in a batch.
          ER_MODELS_EMBEDDING_DTYPE: 'float32',
          ER_MODELS_RERANKER_DTYPE: 'float32',
        },
      });
    },
    { timeout: startTimeoutMs + 60_000 },
  );

  after(async () => {
    if (!stack) return;
    groups = [...groups, leaderOf('embedding'), leaderOf('reranker')];
    await stack.stop();
    for (const group of groups) assert.deepEqual(membersOf(group), [], 'left of a model server after stop');
  });

  const leaderOf = (role: Role) => {
    const pid = readModelProcess(runPaths.modelStatus(stack.runDir, role))?.pid;
    assert.ok(pid, `no model process of ${role}`);
    return pid;
  };
  const post = (path: string, body: object) =>
    fetch(`${stack.url}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${stack.key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  const direct = async (role: Role, path: string, body: object) => {
    const port = stack.env[`ER_MODELS_${role.toUpperCase()}_PORT`];
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    assert.equal(answer.status, 200);
    return answer.json() as unknown;
  };

  describe('the four curls, word for word', () => {
    const curl = async (command: string) => {
      const line = command
        .replace('YOUR_API_KEY', stack.key)
        .replace('http://localhost:2048', stack.url.replace('127.0.0.1', 'localhost'));
      const { stdout } = await promisify(execFile)('sh', ['-c', line]);
      return JSON.parse(stdout) as unknown;
    };

    it('lists both models', async () => {
      const list = await curl('curl -H "Authorization: Bearer YOUR_API_KEY" http://localhost:2048/v1/models');
      const { data } = list as { data: { id: string }[] };
      assert.deepEqual(data.map(({ id }) => id).sort(), ['Qwen3-Embedding-0.6B', 'Qwen3-Reranker-0.6B']);
    });

    it('embeds a text', async () => {
      const answer = await curl(
        'curl -X POST -H "Authorization: Bearer YOUR_API_KEY" -H "Content-Type: application/json" \\\n' +
          '  -d \'{"model": "Qwen3-Embedding-0.6B", "input": "Hello, world!"}\' http://localhost:2048/v1/embeddings',
      );
      const { data, model, usage } = answer as EmbeddingsAnswer;
      assert.equal(model, 'Qwen3-Embedding-0.6B');
      assert.equal(data[0]?.embedding.length, 1024);
      // Hello , world ! and <|endoftext|>, as the model's own tokenizer has it.
      assert.equal(usage.prompt_tokens, 5);
    });

    it('reranks two documents', async () => {
      const answer = await curl(
        'curl -X POST -H "Authorization: Bearer YOUR_API_KEY" -H "Content-Type: application/json" \\\n' +
          '  -d \'{"model": "Qwen3-Reranker-0.6B", "query": "What is AI?", "documents": ["AI is artificial intelligence", "AI helps humans"]}\' \\\n' +
          '  http://localhost:2048/v1/rerank',
      );
      const { results } = answer as RerankAnswer;
      assert.deepEqual(results.map(({ index }) => index).sort(), [0, 1]);
    });

    it('is healthy', async () => {
      await curl('curl http://localhost:2048/health');
      assert.equal((await fetch(`${stack.url}/health`)).status, 200);
    });
  });

  it('gives the openai client the same vector as base64, its default, and as float', async () => {
    const client = new OpenAI({ apiKey: stack.key, baseURL: `${stack.url}/v1`, maxRetries: 0 });
    const request = { model: 'Qwen3-Embedding-0.6B', input: ['Explain gravity', 'Hello, world!'] };
    const base64 = await client.embeddings.create(request);
    const float = await client.embeddings.create({ ...request, encoding_format: 'float' });
    assert.equal(base64.data.length, 2);
    for (const [at, { embedding }] of base64.data.entries()) {
      assert.equal(embedding.length, 1024);
      assertClose(embedding, float.data[at]?.embedding ?? []);
    }
    assert.deepEqual(base64.usage, float.usage);
  });

  it('answers with the vectors and the usage of vLLM asked directly, ending and all', async () => {
    const body = { model: 'Qwen3-Embedding-0.6B', input: ['Explain gravity', ' ', '北京'] };
    const through = (await (await post('/v1/embeddings', body)).json()) as EmbeddingsAnswer;
    const own = (await direct('embedding', '/v1/embeddings', body)) as EmbeddingsAnswer;
    assert.equal(through.usage.prompt_tokens, own.usage.prompt_tokens);
    for (const [at, { embedding }] of own.data.entries()) {
      assertClose(through.data[at]?.embedding ?? [], embedding);
    }
  });

  it('says that vLLM answered', async () => {
    const answer = await post('/v1/embeddings', { model: 'Qwen3-Embedding-0.6B', input: 'a' });
    assert.equal(answer.headers.get('x-er-engine'), 'vllm');
  });

  it('reranks in the order, with the scores and the usage of vLLM with our template', async () => {
    const body = { model: 'Qwen3-Reranker-0.6B', query, documents };
    const through = (await (await post('/v1/rerank', body)).json()) as RerankAnswer;
    const own = (await direct('reranker', '/v1/rerank', body)) as RerankAnswer;
    assert.deepEqual(
      through.results.map(({ index }) => index),
      own.results.map(({ index }) => index),
    );
    assertClose(
      through.results.map(result => result.relevance_score),
      own.results.map(result => result.relevance_score),
    );
    assert.equal(through.usage.total_tokens, own.usage.total_tokens);
  });

  it('refuses an input over the limit with 400, and answers what comes after', async () => {
    const long = await post('/v1/embeddings', {
      model: 'Qwen3-Embedding-0.6B',
      input: 'gravity '.repeat(vllmMaxModelLen + 1),
    });
    assert.equal(long.status, 400);
    const next = await post('/v1/embeddings', { model: 'Qwen3-Embedding-0.6B', input: 'short' });
    assert.equal(next.status, 200);
  });

  it('outlives kill -9 of a model server: 503 with Retry-After meanwhile, then answers, no orphan', async () => {
    const killed = leaderOf('embedding');
    groups.push(killed);
    const embed = () => post('/v1/embeddings', { model: 'Qwen3-Embedding-0.6B', input: 'again' });
    const fresh = ['a document that no cache knows'];
    const rerank = () => post('/v1/rerank', { model: 'Qwen3-Reranker-0.6B', query, documents: fresh });
    process.kill(killed, 'SIGKILL');
    const refused = await waitFor('a refusal while the model is down', async () => {
      const answer = await embed();
      // The connection that was just cut may still be answered with 502.
      return answer.status === 503 && answer;
    });
    assert.ok(Number(refused.headers.get('retry-after')) > 0);
    assert.ok(Number(refused.headers.get('retry-after-ms')) > 0);
    assert.equal(((await refused.json()) as { error: { code: string } }).error.code, 'no_available_upstream');
    // Workers learn of it by a message, and each request may meet another worker.
    await waitFor('/health to tell of it', async () => (await fetch(`${stack.url}/health`)).status === 503);
    assert.equal((await rerank()).status, 200, 'the other model still answers');

    await waitFor('the model to be back', async () => (await embed()).status === 200, {
      timeoutMs: recoveryTimeoutMs,
      intervalMs: 500,
    });
    assert.notEqual(leaderOf('embedding'), killed);
    assert.deepEqual(membersOf(killed), [], 'left of the killed model server');
    await waitFor('/health to tell of it', async () => (await fetch(`${stack.url}/health`)).status === 200);
  });
});

interface EmbeddingsAnswer {
  model: string;
  data: { embedding: number[] }[];
  usage: { prompt_tokens: number };
}
interface RerankAnswer {
  results: { index: number; relevance_score: number }[];
  usage: { total_tokens: number };
}

/** Processes in this process group (field 5 of /proc/PID/stat), zombies aside. */
function membersOf(group: number): number[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
    .filter(pid => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        const [state, , pgrp] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        return Number(pgrp) === group && state !== 'Z';
      } catch {
        return false;
      }
    });
}

/** The batch that an input shares changes its last bits, nothing more. */
function assertClose(actual: number[], expected: number[]): void {
  assert.equal(actual.length, expected.length);
  for (const [at, value] of actual.entries()) {
    const other = expected[at] ?? Number.NaN;
    assert.ok(Math.abs(value - other) <= 5e-4, `[${at}] ${value} is not ${other}`);
  }
}
