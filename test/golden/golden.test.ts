import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Stack, startStack } from '../kit/stack.ts';

/**
 * `npm run test:golden`: the whole system with the real models, against numbers that their authors and others published.
 * Not part of `npm test`: it needs the weights, at the paths of the configuration (ER_MODELS_EMBEDDING_PATH,
 * ER_MODELS_RERANKER_PATH), and what vLLM needs to run them. Every ER_ variable of the caller is passed on.
 */

const startTimeoutMs = 1_800_000;
const folders = {
  embedding: process.env.ER_MODELS_EMBEDDING_PATH ?? '/mnt/workspace/model/Qwen/Qwen3-Embedding-0.6B',
  reranker: process.env.ER_MODELS_RERANKER_PATH ?? '/mnt/workspace/model/Qwen/Qwen3-Reranker-0.6B',
};
let stack: Stack;

before(
  async () => {
    for (const [role, folder] of Object.entries(folders)) {
      const name = `ER_MODELS_${role.toUpperCase()}_PATH`;
      assert.ok(
        existsSync(join(folder, 'config.json')),
        `no ${role} model in ${folder}: set ${name} to the folder of its weights`,
      );
    }
    const settings = Object.entries(process.env).filter(([name]) => name.startsWith('ER_'));
    stack = await startStack({
      workers: 2,
      env: { ER_ENGINE: 'vllm', ...Object.fromEntries(settings) },
    });
  },
  { timeout: startTimeoutMs },
);
after(() => stack?.stop());

async function post<Answer>(path: string, body: unknown): Promise<Answer> {
  const answer = await fetch(`${stack.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${stack.key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  assert.equal(answer.status, 200, await answer.clone().text());
  return (await answer.json()) as Answer;
}

/** vLLM's and Transformers' numbers for the same weights differ by 2.5e-3. */
const dotTolerance = 5e-3;
/** Scores near 0 are compared by their size: bfloat16 moves the logits by a few hundredths. */
const scoreFactor = 2;

test('dot products are those of the model card (QwenLM/Qwen3-Embedding README)', async () => {
  const embed = async (input: string[], extra: object = {}) => {
    const { data } = await post<{ data: { embedding: number[] }[] }>('/v1/embeddings', { input, ...extra });
    return data.map(({ embedding }) => embedding);
  };
  const queries = await embed(['What is the capital of China?', 'Explain gravity'], { input_type: 'query' });
  const documents = await embed([
    'The capital of China is Beijing.',
    'Gravity is a force that attracts two bodies towards each other. It gives weight to physical objects and is responsible for the movement of planets around the sun.',
  ]);
  const dots = queries.map(query =>
    documents.map(document => query.reduce((sum, value, place) => sum + value * (document[place] ?? 0), 0)),
  );
  const published = [
    [0.76203, 0.14079],
    [0.13584, 0.60138],
  ];
  for (const [row, values] of published.entries()) {
    for (const [column, value] of values.entries()) {
      const found = dots[row]?.[column] ?? Number.NaN;
      assert.ok(Math.abs(found - value) < dotTolerance, `[${row}][${column}]: ${found}, not ${value}`);
    }
  }
});

test('vectors cut to any length of the model card have norm 1 and keep the order of relevance', async () => {
  for (const dimensions of [32, 64, 128, 256, 512, 768, 1024]) {
    const { data } = await post<{ data: { embedding: number[] }[] }>('/v1/embeddings', {
      input: ['The capital of China is Beijing.', 'Beijing is the capital of China.', 'Bananas are yellow.'],
      dimensions,
    });
    const [a = [], b = [], c = []] = data.map(({ embedding }) => embedding);
    assert.equal(a.length, dimensions);
    assert.ok(Math.abs(Math.hypot(...a) - 1) < 1e-5);
    const dot = (x: number[], y: number[]) =>
      x.reduce((sum, value, place) => sum + value * (y[place] ?? 0), 0);
    assert.ok(dot(a, b) > dot(a, c) + 0.2);
  }
});

for (const [query, document, published, source] of [
  ['法国首都是哪里？', '法国的首都是巴黎。', 0.7982, 'SGLang #16403'],
  ['法国首都是哪里？', '德国的首都是柏林。', 2.03e-4, 'SGLang #16403'],
  ['法国首都是哪里？', '香蕉是黄色的水果。', 4.6e-6, 'SGLang #16403'],
  ['What is the capital of China?', 'The capital of Korea is Seoul.', 0.00103, 'TEI #835'],
] as const) {
  test(`the score of “${document}” is ${published} (${source})`, async () => {
    const { results } = await post<{ results: { relevance_score: number }[] }>('/v1/rerank', {
      query,
      documents: [document],
    });
    const score = results[0]?.relevance_score ?? Number.NaN;
    // In logits, so that 0.80 and 4.6e-6 are held to the same.
    const logit = (value: number) => Math.log(value / (1 - value));
    const distance = Math.abs(logit(score) - logit(published));
    assert.ok(distance < Math.log(scoreFactor), `${score}, not ${published}`);
  });
}

test('a document that answers scores high, one that does not scores low', async () => {
  const { results } = await post<{ results: { index: number; relevance_score: number }[] }>('/v1/rerank', {
    query: 'What is the capital of China?',
    documents: [
      'Gravity is a force that attracts two bodies towards each other.',
      'The capital of China is Beijing.',
    ],
  });
  assert.equal(results[0]?.index, 1);
  assert.ok((results[0]?.relevance_score ?? 0) > 0.9, `${results[0]?.relevance_score}`);
  assert.ok((results[1]?.relevance_score ?? 1) < 0.05, `${results[1]?.relevance_score}`);
});
