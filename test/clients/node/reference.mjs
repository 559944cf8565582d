import assert from 'node:assert/strict';

/** What each client here is compared with: plain HTTP to the same gateway. Its place and key come from the environment. */
export const url = process.env.ER_CLIENT_URL ?? '';
export const apiKey = process.env.ER_CLIENT_KEY ?? '';
export const embeddingModel = 'Qwen3-Embedding-0.6B';
export const rerankModel = 'Qwen3-Reranker-0.6B';

export const texts = ['Hello, world!', 'The train to Lisbon leaves at noon', '北京是中国的首都。'];
export const query = 'What is the capital of China?';
export const documents = ['The capital of China is Beijing.', 'Gravity is a force.', 'Bananas are yellow.'];

async function post(path, body) {
  const answer = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  assert.equal(answer.status, 200, await answer.clone().text());
  return answer.json();
}

/** The vectors of texts, as documents or, with `input_type`, as queries. */
export async function vectorsOf(input, options = {}) {
  const { data } = await post('/v1/embeddings', { input, ...options });
  return data.map(({ embedding }) => embedding);
}

/** Indexes of the documents from best to worst, and the scores by document. */
export async function ranking() {
  const { results } = await post('/v1/rerank', { query, documents });
  return {
    order: results.map(({ index }) => index),
    scores: new Map(results.map(result => [result.index, result.relevance_score])),
  };
}

/** Asserts that vectors are the same but for the last bits, which batches may change on a real server. */
export function assertSameVectors(found, wanted) {
  assert.equal(found.length, wanted.length);
  for (const [index, vector] of wanted.entries()) {
    assert.equal(found[index].length, vector.length);
    const dot = vector.reduce((sum, value, place) => sum + value * found[index][place], 0);
    assert.ok(Math.abs(dot - 1) < 1e-3, `vector ${index}: cosine ${dot}`);
  }
}

/** Asserts that ranked `[index, score]` pairs, best first, are those of plain HTTP. */
export async function assertSameRanking(found) {
  const { scores } = await ranking();
  assert.equal(found.length, documents.length);
  for (const [place, [index, score]] of found.entries()) {
    assert.ok(
      Math.abs(score - scores.get(index)) < 1e-3,
      `document ${index}: ${score}, not ${scores.get(index)}`,
    );
    if (place > 0) assert.ok(score <= found[place - 1][1], 'best first');
  }
}
