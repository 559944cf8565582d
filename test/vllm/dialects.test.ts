import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { clientPrograms } from '../kit/clients.ts';
import { jinaCurls } from '../kit/jina-curls.ts';
import { type SmallSystem, startSmallSystem } from '../kit/small-system.ts';
import { vllmMaxModelLen, vllmPaths } from '../kit/vllm/paths.ts';
import { startVllm } from '../kit/vllm/server.ts';
import { waitFor } from '../kit/wait-for.ts';

/** What the gateway answers is what a real vLLM answers to the same request alone: numbers, bytes and token counts. */

const scoreTolerance = 1e-4;
let vllm: { embedding: string; reranker: string };
const ends: (() => Promise<void>)[] = [];
let system: SmallSystem;

before(
  async () => {
    const start = async (role: 'embedding' | 'reranker') => {
      const server = await startVllm(role);
      ends.push(server.stop);
      return server;
    };
    const starting = [start('embedding'), start('reranker')] as const;
    await Promise.allSettled(starting); // so that one that fails leaves none behind
    const [embedding, reranker] = await Promise.all(starting);
    vllm = { embedding: embedding.url, reranker: reranker.url };
    system = await startSmallSystem({
      embeddingUrls: [embedding.url],
      rerankerUrls: [reranker.url],
      timeoutMs: 120_000,
      env: {
        ER_MODELS_EMBEDDING_PATH: vllmPaths.models.embedding,
        ER_MODELS_RERANKER_PATH: vllmPaths.models.reranker,
        ER_MODELS_EMBEDDING_MAX_MODEL_LEN: String(vllmMaxModelLen),
        ER_MODELS_RERANKER_MAX_MODEL_LEN: String(vllmMaxModelLen),
      },
    });
    ends.push(system.stop);
  },
  { timeout: 900_000 },
);
after(async () => {
  for (const end of ends.reverse()) await end();
});

async function direct(role: 'embedding' | 'reranker', path: string, body: unknown): Promise<Response> {
  const answer = await fetch(`${vllm[role]}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  assert.equal(answer.status, 200, await answer.clone().text());
  return answer;
}
async function through(path: string, body: unknown): Promise<Response> {
  const answer = await system.post(path, body);
  assert.equal(answer.status, 200, await answer.clone().text());
  return answer;
}

interface Embeddings {
  data: { embedding: number[] }[];
  usage: { prompt_tokens: number };
}
interface Scores {
  data: { score: number }[];
  usage: { prompt_tokens: number };
}

function assertSame(found: readonly number[] = [], wanted: readonly number[] = []): void {
  assert.equal(found.length, wanted.length);
  const dot = wanted.reduce((sum, value, place) => sum + value * (found[place] ?? 0), 0);
  assert.ok(Math.abs(dot - 1) < 1e-4, `cosine ${dot}`);
}

const texts = [
  'Explain gravity',
  'Hello, world!',
  '北京是中国的首都。🙂',
  'a b  c\n\n\td',
  'word '.repeat(300),
  '{"json": [1, 2]}',
];

for (const [what, body] of [
  ['texts', { input: texts }],
  ['a text', { input: 'Explain gravity' }],
  ['ids that end as they should', { input: [[840, 20772, 23249, 151_643]] }],
  ['dimensions', { input: texts, dimensions: 64 }],
  ['truncate_prompt_tokens', { input: texts, truncate_prompt_tokens: 5 }],
  ['truncate_prompt_tokens: -1', { input: ['long '.repeat(3000)], truncate_prompt_tokens: -1 }],
  ['no special tokens', { input: texts, add_special_tokens: false }],
] as [string, Record<string, unknown>][]) {
  test(`/v1/embeddings with ${what}: vLLM's vectors, and its count of tokens`, async () => {
    const ours = (await (await through('/v1/embeddings', body)).json()) as Embeddings;
    const theirs = (await (await direct('embedding', '/v1/embeddings', body)).json()) as Embeddings;
    assert.equal(ours.usage.prompt_tokens, theirs.usage.prompt_tokens);
    assert.equal(ours.data.length, theirs.data.length);
    for (const [index, { embedding }] of theirs.data.entries())
      assertSame(ours.data[index]?.embedding, embedding);
  });
}

test('a query is what vLLM makes of the instruction and the text, to the letter', async () => {
  const ours = (await (
    await through('/v1/embeddings', { input: 'What is AI?', input_type: 'query' })
  ).json()) as Embeddings;
  const theirs = (await (
    await direct('embedding', '/v1/embeddings', {
      input:
        'Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:What is AI?',
    })
  ).json()) as Embeddings;
  assert.equal(ours.usage.prompt_tokens, theirs.usage.prompt_tokens);
  assertSame(ours.data[0]?.embedding, theirs.data[0]?.embedding);
});

for (const embed_dtype of ['float32', 'float16', 'bfloat16', 'fp8_e4m3', 'fp8_e5m2']) {
  for (const endianness of ['little', 'big']) {
    test(`bytes of ${embed_dtype}, ${endianness} endian, are vLLM's`, async () => {
      const body = { input: ['Hello, world!'], encoding_format: 'bytes_only', embed_dtype, endianness };
      const ours = new Uint8Array(await (await through('/v1/embeddings', body)).arrayBuffer());
      const theirs = new Uint8Array(await (await direct('embedding', '/v1/embeddings', body)).arrayBuffer());
      assert.equal(ours.length, theirs.length);
      // Low bits may differ between two runs of the model.
      const equal = ours.filter((byte, place) => byte === theirs[place]).length;
      assert.ok(equal > ours.length * 0.95, `${equal} of ${ours.length} bytes are equal`);
    });
  }
}

test('/v2/embed: vLLM’s vectors, bits and billed tokens', async () => {
  const body = { texts: texts.slice(0, 4), embedding_types: ['float', 'binary', 'ubinary', 'base64'] };
  interface ByType {
    embeddings: { float: number[][]; binary: number[][]; ubinary: number[][]; base64: string[] };
    meta: { billed_units: { input_tokens: number } };
  }
  const ours = (await (await through('/v2/embed', body)).json()) as ByType;
  const theirs = (await (await direct('embedding', '/v2/embed', body)).json()) as ByType;
  assert.equal(ours.meta.billed_units.input_tokens, theirs.meta.billed_units.input_tokens);
  for (const [index, vector] of theirs.embeddings.float.entries()) {
    assertSame(ours.embeddings.float[index], vector);
    for (const type of ['binary', 'ubinary'] as const) {
      const wanted = theirs.embeddings[type][index] ?? [];
      const equal = wanted.filter((value, place) => ours.embeddings[type][index]?.[place] === value).length;
      assert.ok(equal >= wanted.length - 2, `${type}: ${equal} of ${wanted.length}`);
    }
    assert.equal(ours.embeddings.base64[index]?.length, theirs.embeddings.base64[index]?.length);
  }
});

const documents = [
  'AI is artificial intelligence',
  'Bananas are yellow',
  '北京是中国的首都。',
  '',
  'a\nb\r\n\tc',
  '- a list\n- of <tags> & “quotes”',
  'long '.repeat(400),
];
for (const [what, body] of [
  ['1:N', { queries: 'What is AI?', documents }],
  ['N:N', { queries: documents.map((_, index) => `question ${index}?`), documents }],
  ['1:1', { text_1: 'What is AI?', text_2: 'AI helps humans' }],
  ['an instruction', { queries: 'What is AI?', documents, instruction: 'Judge by colour' }],
  [
    'an instruction in chat_template_kwargs',
    {
      queries: 'What is AI?',
      documents,
      chat_template_kwargs: { instruction: 'Judge by colour' },
    },
  ],
  ['max_tokens_per_doc', { queries: 'What is AI?', documents, max_tokens_per_doc: 3 }],
  [
    'max_tokens_per_query',
    { queries: 'What is artificial intelligence?', documents, max_tokens_per_query: 2 },
  ],
] as [string, Record<string, unknown>][]) {
  test(`/score with ${what}: vLLM's scores to ${scoreTolerance}, and its count of tokens`, async () => {
    const ours = (await (await through('/score', body)).json()) as Scores;
    const theirs = (await (await direct('reranker', '/score', body)).json()) as Scores;
    assert.equal(ours.usage.prompt_tokens, theirs.usage.prompt_tokens);
    for (const [index, { score }] of theirs.data.entries()) {
      const found = ours.data[index]?.score ?? Number.NaN;
      assert.ok(Math.abs(found - score) <= scoreTolerance, `pair ${index}: ${found}, not ${score}`);
    }
  });
}

test('/rerank: vLLM’s scores by document, and its count of tokens', async () => {
  interface Rerank {
    results: { index: number; relevance_score: number; document: { text: string } }[];
    usage: { prompt_tokens: number };
  }
  const body = { query: 'What is AI?', documents };
  const ours = (await (await through('/rerank', body)).json()) as Rerank;
  const theirs = (await (await direct('reranker', '/rerank', body)).json()) as Rerank;
  assert.equal(ours.usage.prompt_tokens, theirs.usage.prompt_tokens);
  const scores = new Map(ours.results.map(({ index, relevance_score: score }) => [index, score]));
  for (const { index, relevance_score: score } of theirs.results)
    assert.ok(Math.abs((scores.get(index) ?? Number.NaN) - score) <= scoreTolerance);
  assert.equal(ours.results[0]?.document.text, documents[ours.results[0]?.index ?? -1]);
});

for (const role of ['embedding', 'reranker'] as const) {
  test(`/tokenize and /detokenize for the ${role} model are vLLM's`, async () => {
    const model = role === 'embedding' ? 'Qwen3-Embedding-0.6B' : 'Qwen3-Reranker-0.6B';
    const body = { model, prompt: 'Hello, <|im_end|> 北京!', return_token_strs: true };
    const ours = (await (await through('/tokenize', body)).json()) as { tokens: number[] };
    assert.deepEqual(ours, await (await direct(role, '/tokenize', body)).json());
    const back = { model, tokens: ours.tokens };
    assert.deepEqual(
      await (await through('/detokenize', back)).json(),
      await (await direct(role, '/detokenize', back)).json(),
    );
  });
}

test('whatever the text: any dimensions is the prefix at length 1, and what is cut keeps its last token', async t => {
  const seed = Number(process.env.ER_TEST_SEED ?? 20_260_901);
  t.diagnostic(`ER_TEST_SEED=${seed}`);
  const random = randomNumbers(seed);
  const upTo = (most: number) => Math.floor(random() * most);
  const pieces = [
    'word',
    ' ',
    'ß',
    '北京',
    '🙂',
    '\n\n',
    "it's",
    '1984',
    '!?',
    'e\u0301',
    '<|im_end',
    '{"a": 1}',
    '\t',
  ];
  for (let round = 0; round < 40; round += 1) {
    const input = Array.from({ length: 1 + upTo(80) }, () => pieces[upTo(pieces.length)]).join('');
    const dimensions = 32 + upTo(1024 - 32 + 1);
    const asked = round % 2 === 0 ? {} : { truncate_prompt_tokens: 2 + upTo(30) };
    const vectorOf = async (body: object) =>
      ((await (await through('/v1/embeddings', { input, ...asked, ...body })).json()) as Embeddings).data[0]
        ?.embedding ?? [];
    const what = JSON.stringify({ input, dimensions, ...asked });
    const [whole, cut] = [await vectorOf({}), await vectorOf({ dimensions })];
    assert.equal(cut.length, dimensions, what);
    assert.ok(Math.abs(Math.hypot(...cut) - 1) < 1e-5, what);
    const scale = Math.hypot(...whole.slice(0, dimensions));
    for (const [place, value] of cut.entries())
      assert.ok(Math.abs(value - (whole[place] ?? 0) / scale) < 1e-6, what);
    const theirs = (await (
      await direct('embedding', '/v1/embeddings', { input, ...asked })
    ).json()) as Embeddings;
    assertSame(whole, theirs.data[0]?.embedding);
  }
});

/** mulberry32: a repeatable stream of numbers from 0 to 1. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

test('without the model folders here: ids end as they should, cuts are vLLM’s, and the template is Qwen’s', async () => {
  const bare = await startSmallSystem({
    embeddingUrls: [vllm.embedding],
    rerankerUrls: [vllm.reranker],
    timeoutMs: 120_000,
  });
  try {
    const ask = async <Body>(path: string, body: unknown) => {
      const answer = await bare.post(path, body);
      assert.equal(answer.status, 200, await answer.clone().text());
      return (await answer.json()) as Body;
    };
    const text = (await ask<Embeddings>('/v1/embeddings', { input: 'Explain gravity' })).data[0]?.embedding;
    for (const input of [
      [840, 20772, 23249],
      [840, 20772, 23249, 151_643],
    ])
      assertSame((await ask<Embeddings>('/v1/embeddings', { input })).data[0]?.embedding, text);
    const long = { input: 'long '.repeat(3000), truncate_prompt_tokens: -1 };
    const cut = await ask<Embeddings>('/v1/embeddings', long);
    assert.equal(cut.usage.prompt_tokens, vllmMaxModelLen);
    assertSame(
      cut.data[0]?.embedding,
      ((await (await through('/v1/embeddings', long)).json()) as Embeddings).data[0]?.embedding,
    );
    const pairs = { queries: 'What is AI?', documents, max_tokens_per_doc: 3 };
    const ours = await ask<Scores>('/score', pairs);
    const theirs = (await (await direct('reranker', '/score', pairs)).json()) as Scores;
    for (const [index, { score }] of theirs.data.entries())
      assert.ok(Math.abs((ours.data[index]?.score ?? Number.NaN) - score) <= scoreTolerance);
    const voyage = { query: 'What is AI?', documents: ['short', 'long '.repeat(3000)], truncation: true };
    await ask('/v1/rerank', voyage);
  } finally {
    await bare.stop();
  }
});

for (const [title, env, advice] of [
  ['', {}, /does not run as a reranker.*--hf-overrides/],
  [
    ', its folder here',
    { ER_MODELS_RERANKER_PATH: vllmPaths.models.reranker },
    /not a score.*--hf-overrides/,
  ],
] as [string, Record<string, string>, RegExp][]) {
  test(`a server without the reranker's overrides serves no reranking, and /health says why${title}`, async () => {
    // Started without them, vLLM makes an embedding model of the checkpoint.
    const wrong = await startSmallSystem({
      embeddingUrls: [vllm.embedding],
      rerankerUrls: [vllm.embedding],
      env,
      waitForModels: false,
    });
    try {
      const isTold = async () => advice.test(await (await wrong.fetch('/health')).text());
      await waitFor('the reason', isTold, { timeoutMs: 60_000 });
    } finally {
      await wrong.stop();
    }
  });
}

for (const [prompt, add_special_tokens] of [
  ['', true],
  ['a<|endoftext|>', true],
  ['<think>\u0301 <|im_start|><|im_start|>', false],
  ['<|im_end<|im_end|>|>\r\n e\u0301 🙂 '.repeat(500), true],
] as const) {
  test(`/tokenize of ${JSON.stringify(prompt.slice(0, 30))} is vLLM's`, async () => {
    for (const role of ['embedding', 'reranker'] as const) {
      const model = role === 'embedding' ? 'Qwen3-Embedding-0.6B' : 'Qwen3-Reranker-0.6B';
      const body = { model, prompt, add_special_tokens, return_token_strs: true };
      assert.deepEqual(
        await (await through('/tokenize', body)).json(),
        await (await direct(role, '/tokenize', body)).json(),
      );
    }
  });
}

test('Voyage’s, Cohere’s and TEI’s ways to rerank: vLLM’s scores, and its count of tokens where they tell one', async () => {
  interface Theirs {
    results: { index: number; relevance_score: number }[];
    usage: { total_tokens: number };
  }
  type Ranked = { index: number; relevance_score?: number; score?: number }[];
  const body = { query: 'What is AI?', documents };
  const theirs = (await (await direct('reranker', '/rerank', body)).json()) as Theirs;
  const voyage = (await (await through('/v1/rerank', { ...body, top_k: documents.length })).json()) as {
    data: Ranked;
    usage: { total_tokens: number };
  };
  const cohere = (await (await through('/v2/rerank', body)).json()) as {
    results: Ranked;
    meta: { tokens: { input_tokens: number } };
  };
  const tei = (await (await through('/rerank', { query: body.query, texts: documents })).json()) as Ranked;
  const wanted = theirs.usage.total_tokens;
  assert.deepEqual([voyage.usage.total_tokens, cohere.meta.tokens.input_tokens], [wanted, wanted]);
  for (const ranked of [voyage.data, cohere.results, tei]) {
    const scores = new Map(ranked.map(({ index, ...item }) => [index, item.relevance_score ?? item.score]));
    for (const { index, relevance_score: score } of theirs.results)
      assert.ok(Math.abs((scores.get(index) ?? Number.NaN) - score) <= scoreTolerance, `document ${index}`);
  }
});

test('TEI’s way to embed: vLLM’s vectors', async () => {
  const ours = (await (await through('/embed', { inputs: texts })).json()) as number[][];
  const theirs = (await (await direct('embedding', '/v1/embeddings', { input: texts })).json()) as Embeddings;
  for (const [index, { embedding }] of theirs.data.entries()) assertSame(ours[index], embedding);
});

test('Jina’s own curls work before a real vLLM', () => jinaCurls(system));

for (const { name, run } of clientPrograms()) {
  test(`${name} works before a real vLLM`, { timeout: 900_000 }, () => run(system));
}
