import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fourCurls, runCurl } from '../kit/four-curls.ts';
import { type Stack, startStack } from '../kit/stack.ts';

/** What the built-in engine really runs. */
const realModel = 'universal-sentence-encoder-lite';
const realEngine = `builtin ${realModel}`;

interface RerankAnswer {
  model: string;
  results: { index: number; relevance_score: number }[];
}

let stack: Stack;

before(async () => {
  stack = await startStack();
});
after(async () => {
  await stack?.stop();
});

const post = (path: string, body: unknown, key: string | null = stack.key) =>
  fetch(`${stack.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key && { authorization: `Bearer ${key}` }) },
    body: JSON.stringify(body),
  });
const embed = () => post('/v1/embeddings', { model: 'Qwen3-Embedding-0.6B', input: 'Hello, world!' });

test('curl 1 lists both models, and says which model really answers for them', async () => {
  const { object, data } = (await runCurl(fourCurls.models, stack)) as {
    object: string;
    data: { id: string; object: string; engine: string; answers_as: string; ready: boolean }[];
  };
  assert.equal(object, 'list');
  assert.deepEqual(
    data.map(model => [model.id, model.object, model.engine, model.answers_as, model.ready]),
    ['Qwen3-Embedding-0.6B', 'Qwen3-Reranker-0.6B'].map(id => [id, 'model', realEngine, realModel, true]),
  );
});

test('curl 2 embeds a text as a unit vector, and names the model that made it', async () => {
  const answer = (await runCurl(fourCurls.embeddings, stack)) as {
    object: string;
    model: string;
    data: { object: string; index: number; embedding: number[] }[];
    usage: { prompt_tokens: number; total_tokens: number };
  };
  assert.equal(answer.object, 'list');
  assert.equal(answer.model, realModel);
  const [{ object, index, embedding } = { object: '', index: -1, embedding: [] }] = answer.data;
  assert.deepEqual([answer.data.length, object, index, embedding.length], [1, 'embedding', 0, 512]);
  assert.ok(Math.abs(Math.hypot(...embedding) - 1) < 1e-3);
  assert.ok(answer.usage.prompt_tokens > 0);
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens);
});

test('curl 3 ranks the document that says what AI is first', async () => {
  const { model, results } = (await runCurl(fourCurls.rerank, stack)) as RerankAnswer;
  assert.equal(model, realModel);
  assert.deepEqual(
    results.map(({ index }) => index),
    [0, 1],
  );
  const [first, second] = results.map(result => result.relevance_score);
  assert.ok(first !== undefined && second !== undefined && first > second && first <= 1 && second >= 0);
});

test('curl 4 says that both models can answer, and which they really are', async () => {
  const { status, models } = (await runCurl(fourCurls.health, stack)) as {
    status: string;
    models: Record<string, { ready: boolean; answers_as: string; engine_label: string }>;
  };
  assert.equal(status, 'ok');
  assert.deepEqual(Object.keys(models).sort(), ['Qwen3-Embedding-0.6B', 'Qwen3-Reranker-0.6B']);
  for (const { ready, answers_as, engine_label } of Object.values(models))
    assert.deepEqual([ready, answers_as, engine_label], [true, realModel, realEngine]);
});

test('a document about something else comes last, far behind', async () => {
  const answer = await post('/v1/rerank', {
    model: 'Qwen3-Reranker-0.6B',
    query: 'What is AI?',
    documents: ['The train to Lisbon leaves at noon', 'AI is artificial intelligence', 'AI helps humans'],
  });
  const { results } = (await answer.json()) as RerankAnswer;
  assert.deepEqual(
    results.map(({ index }) => index),
    [1, 2, 0],
  );
  const [best = 0, , worst = 1] = results.map(result => result.relevance_score);
  assert.ok(best - worst > 0.2, `${best} and ${worst}`);
});

test('the start banner names the model that answers, not Qwen alone', () => {
  for (const name of ['Qwen3-Embedding-0.6B', 'Qwen3-Reranker-0.6B'])
    assert.ok(
      stack.startOutput.includes(
        `${name}: answered by the built-in CPU engine with ${realModel}, not by Qwen`,
      ),
    );
});

test('an answer says who made it, how long each stage took, its request id and what is left of the limit', async () => {
  const before = await embed();
  const left = Number(before.headers.get('x-ratelimit-remaining-requests'));
  const { status, headers } = await embed();
  assert.equal(status, 200);
  assert.equal(headers.get('x-er-engine'), realEngine);
  assert.match(headers.get('x-er-cache') ?? '', /^[01]\/1$/);
  assert.match(headers.get('x-request-id') ?? '', /^[0-9a-f-]{36}$/);
  assert.notEqual(headers.get('x-request-id'), before.headers.get('x-request-id'));
  assert.equal(headers.get('x-ratelimit-limit-requests'), '100');
  assert.equal(Number(headers.get('x-ratelimit-remaining-requests')), left - 1);
  assert.match(headers.get('x-ratelimit-reset-requests') ?? '', /^(\d+ms|\d+s|1m0s)$/);

  const stages = (headers.get('server-timing') ?? '').split(', ').map(entry => entry.split(';dur='));
  assert.deepEqual(
    stages.map(([name]) => name),
    ['auth', 'limit', 'parse', 'queue', 'upstream', 'write', 'total'],
  );
  const durations = stages.map(([, ms]) => Number(ms));
  assert.ok(durations.every(ms => ms >= 0));
  const total = durations.pop() ?? 0;
  const sum = durations.reduce((ms, more) => ms + more, 0);
  assert.ok(total >= sum - 0.1, `${total} ms in total, ${sum} ms in its stages`);
});

test('the key may stand in the query as api_key', async () => {
  const answer = await fetch(`${stack.url}/v1/models?api_key=${stack.key}`);
  assert.equal(answer.status, 200);
  const embedding = await post(`/v1/embeddings?api_key=${stack.key}`, { input: 'Hello, world!' }, null);
  assert.equal(embedding.status, 200);
});

test('no key, or a wrong one, is 401 in every worker', async () => {
  for (let time = 0; time < 4; time++) {
    for (const key of [null, `er-${'x'.repeat(40)}`]) {
      const answer = await post('/v1/embeddings', { input: 'Hello, world!' }, key);
      assert.equal(answer.status, 401);
      const { error } = (await answer.json()) as { error: { code: string } };
      assert.equal(error.code, 'invalid_api_key');
      assert.ok(answer.headers.get('x-request-id'));
    }
  }
});
