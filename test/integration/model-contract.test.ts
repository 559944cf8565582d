import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startFakeModel } from '../kit/fake-model.ts';
import { vllmMaxModelLen } from '../kit/vllm/paths.ts';
import { isVllmWanted, rerankerTemplate, startVllm } from '../kit/vllm/server.ts';
import { waitFor } from '../kit/wait-for.ts';

/**
 * What the gateway relies on of a model server. The same claims are held against the fake, always, and against a real
 * vLLM, when ER_TEST_VLLM is 1.
 */

interface ModelServers {
  embedding: string;
  reranker: string;
  stop: () => Promise<void>;
}

const embeddingModel = 'Qwen3-Embedding-0.6B';
const rerankerModel = 'Qwen3-Reranker-0.6B';
const vocabularySize = 151936;
const endOfText = 151643;

/** Qwen3-Reranker's prompt, as its model card has it, written out here on its own. */
const templated = (query: string, document: string) =>
  '<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. Note ' +
  'that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n<Instruct>: Given a web search query, retrieve ' +
  `relevant passages that answer the query\n<Query>: ${query}\n<Document>: ${document}<|im_end|>\n` +
  '<|im_start|>assistant\n<think>\n\n</think>\n\n';

describe('the fake model server', () => {
  holdsContract(async () => {
    const options = { maxModelLen: vllmMaxModelLen, perTokenUs: 20 };
    const [embedding, reranker] = await Promise.all([
      startFakeModel({ ...options, role: 'embedding' }),
      startFakeModel({
        ...options,
        role: 'reranker',
        chatTemplate: rerankerTemplate,
      }),
    ]);
    return {
      embedding: embedding.url,
      reranker: reranker.url,
      stop: async () => void (await Promise.all([embedding.stop(), reranker.stop()])),
    };
  });
});

if (isVllmWanted) {
  describe('vLLM', () => {
    holdsContract(async () => {
      const started = await Promise.allSettled([startVllm('embedding'), startVllm('reranker')]);
      const servers = started.flatMap(result => (result.status === 'fulfilled' ? [result.value] : []));
      const stop = async () => void (await Promise.all(servers.map(server => server.stop())));
      const failure = started.find(result => result.status === 'rejected');
      if (failure) {
        await stop();
        throw failure.reason;
      }
      const [embedding, reranker] = servers.map(server => server.url);
      return { embedding: embedding ?? '', reranker: reranker ?? '', stop };
    });
  });
}

function holdsContract(start: () => Promise<ModelServers>): void {
  let servers: ModelServers;
  before(
    async () => {
      servers = await start();
    },
    { timeout: 300_000 },
  );
  after(() => servers?.stop());

  const embeddings = (body: object, headers?: Record<string, string>) =>
    post(`${servers.embedding}/v1/embeddings`, { model: embeddingModel, ...body }, headers);
  const reranker = (path: string, body: object, headers?: Record<string, string>) =>
    post(`${servers.reranker}${path}`, { model: rerankerModel, ...body }, headers);
  const tokensOf = async (url: string, prompt: string) =>
    ((await (await post(`${url}/tokenize`, { prompt })).json()) as { tokens: number[] }).tokens;

  it('GET /health answers 200 without a body, and knows no HEAD', async () => {
    const health = await fetch(`${servers.embedding}/health`);
    assert.equal(health.status, 200);
    assert.equal(await health.text(), '');
    assert.equal((await fetch(`${servers.embedding}/health`, { method: 'HEAD' })).status, 405);
  });

  it('GET /v1/models names the model and its longest input', async () => {
    const list = (await (await fetch(`${servers.reranker}/v1/models`)).json()) as {
      data: { id: string; max_model_len: number }[];
    };
    assert.equal(list.data.length, 1);
    assert.equal(list.data[0]?.id, rerankerModel);
    assert.equal(list.data[0]?.max_model_len, vllmMaxModelLen);
  });

  it('GET /version and /load answer JSON', async () => {
    assert.deepEqual(await (await fetch(`${servers.embedding}/version`)).json(), { version: '0.32.0' });
    assert.deepEqual(await (await fetch(`${servers.embedding}/load`)).json(), { server_load: 0 });
  });

  it('answers unknown paths, wrong methods and routes of the other role with a bare detail', async () => {
    const unknown = await fetch(`${servers.embedding}/nothing`);
    assert.equal(unknown.status, 404);
    assert.deepEqual(await unknown.json(), { detail: 'Not Found' });
    const wrongMethod = await fetch(`${servers.embedding}/v1/embeddings`);
    assert.equal(wrongMethod.status, 405);
    assert.deepEqual(await wrongMethod.json(), { detail: 'Method Not Allowed' });
    assert.equal((await reranker('/v1/embeddings', { input: 'a' })).status, 404);
    assert.equal((await post(`${servers.embedding}/classify`, { input: 'a' })).status, 404);
  });

  it('POST /v1/embeddings answers one unit vector of 1024 numbers a text, in order, with the usage', async () => {
    const answer = await embeddings({ input: ['one', 'two words'] }, { 'x-request-id': 'req-1' });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('keep-alive'), null);
    const { id, object, created, model, data, usage } = (await answer.json()) as EmbeddingsBody;
    assert.equal(id, 'embd-req-1');
    assert.equal(object, 'list');
    assert.ok(Number.isInteger(created));
    assert.equal(model, embeddingModel);
    assert.deepEqual(
      data.map(({ index, object, embedding }) => [index, object, embedding.length]),
      [
        [0, 'embedding', 1024],
        [1, 'embedding', 1024],
      ],
    );
    for (const { embedding } of data) assert.ok(Math.abs(dot(embedding, embedding) - 1) < 1e-3);
    const counts = await Promise.all(['one', 'two words'].map(text => tokensOf(servers.embedding, text)));
    const promptTokens = counts.flat().length;
    assert.deepEqual(usage, {
      prompt_tokens: promptTokens,
      total_tokens: promptTokens,
      completion_tokens: 0,
      prompt_tokens_details: null,
      completion_tokens_details: null,
    });
  });

  it('sends the same float32 as float, base64, bytes and bytes_only', async () => {
    const body = { input: ['Hello, world!', 'again'] };
    const floats = (await (await embeddings(body)).json()) as EmbeddingsBody;
    const expected = floats.data.flatMap(({ embedding }) => embedding.map(Math.fround));
    const base64 = (await (await embeddings({ ...body, encoding_format: 'base64' })).json()) as Base64Body;
    const decoded = base64.data.flatMap(({ embedding }) => toFloats(Buffer.from(embedding, 'base64')));
    assertClose(decoded, expected);
    const bytes = await embeddings({ ...body, encoding_format: 'bytes' });
    const metadata = JSON.parse(bytes.headers.get('metadata') ?? '') as {
      data: unknown[];
      usage: { prompt_tokens: number };
    };
    assert.deepEqual(metadata.data[1], {
      index: 1,
      embed_dtype: 'float32',
      endianness: 'native',
      start: 4096,
      end: 8192,
      shape: [1024],
    });
    assert.equal(metadata.usage.prompt_tokens, floats.usage.prompt_tokens);
    assertClose(toFloats(Buffer.from(await bytes.arrayBuffer())), expected);
    const bare = await embeddings({ ...body, encoding_format: 'bytes_only' });
    assert.equal(bare.headers.get('content-type'), 'application/octet-stream');
    assert.equal(bare.headers.get('metadata'), null);
    assertClose(toFloats(Buffer.from(await bare.arrayBuffer())), expected);
  });

  it('answers token ids like the text that they come from, when they end with <|endoftext|>', async () => {
    const ids = await tokensOf(servers.embedding, 'Explain gravity');
    assert.equal(ids.at(-1), endOfText);
    const [text, same, cut] = await Promise.all(
      ['Explain gravity', ids, ids.slice(0, -1)].map(async input => {
        const answer = (await (await embeddings({ input })).json()) as EmbeddingsBody;
        return answer.data[0]?.embedding ?? [];
      }),
    );
    assert.ok(text && same && cut);
    assert.ok(dot(text, same) > 0.9999, `cosine ${dot(text, same)}`);
    assert.ok(dot(text, cut) < 0.99, `cosine ${dot(text, cut)}`);
  });

  it('takes several lists of token ids in one call, and reports the sum of their lengths', async () => {
    const answer = await embeddings({ input: [[840, 20772, endOfText], [endOfText]] });
    const { data, usage } = (await answer.json()) as EmbeddingsBody;
    assert.equal(data.length, 2);
    assert.equal(usage.prompt_tokens, 4);
  });

  it('answers token ids on /pooling with the vectors of /v1/embeddings, in the same encodings', async () => {
    const input = [[840, 20772, endOfText], [endOfText]];
    const expected = ((await (await embeddings({ input })).json()) as EmbeddingsBody).data.flatMap(
      ({ embedding }) => embedding,
    );
    const pooling = (encoding: string) =>
      post(`${servers.embedding}/pooling`, { model: embeddingModel, input, encoding_format: encoding });
    const floats = (await (await pooling('float')).json()) as PoolingBody<number[]>;
    assertClose(
      floats.data.flatMap(({ data }) => data),
      expected,
    );
    assert.equal(floats.usage.prompt_tokens, 4);
    const base64 = (await (await pooling('base64')).json()) as PoolingBody<string>;
    assertClose(
      base64.data.flatMap(({ data }) => toFloats(Buffer.from(data, 'base64'))),
      expected,
    );
    const bare = await pooling('bytes_only');
    assertClose(toFloats(Buffer.from(await bare.arrayBuffer())), expected);
  });

  it('cuts to `dimensions` and normalises again', async () => {
    const full = (await (await embeddings({ input: 'cut me' })).json()) as EmbeddingsBody;
    const cut = (await (await embeddings({ input: 'cut me', dimensions: 64 })).json()) as EmbeddingsBody;
    const prefix = full.data[0]?.embedding.slice(0, 64) ?? [];
    const length = Math.sqrt(dot(prefix, prefix));
    assertClose(
      cut.data[0]?.embedding ?? [],
      prefix.map(value => value / length),
    );
    for (const dimensions of [0, 1025]) {
      await assertRefused(await embeddings({ input: 'a', dimensions }), 400, 'BadRequestError', /dimensions/);
    }
  });

  it('takes an empty text as its ending alone', async () => {
    const { usage } = (await (await embeddings({ input: '' })).json()) as EmbeddingsBody;
    assert.equal(usage.prompt_tokens, 1);
  });

  it('refuses no input, an empty list of ids, and ids that are not in the vocabulary', async () => {
    await assertRefused(await embeddings({ input: [] }), 400, 'BadRequestError', /at least one prompt/);
    await assertRefused(await embeddings({ input: [[1], []] }), 400, 'BadRequestError', /cannot be empty/);
    const unknown = await embeddings({ input: [[1], [vocabularySize]] });
    await assertRefused(unknown, 400, 'BadRequestError', /^Token id 151936 is out of vocabulary/);
    assert.equal((await embeddings({ input: [vocabularySize - 1] })).status, 200);
  });

  it('accepts an input of the longest length, and refuses one token more, as text and as ids', async () => {
    assert.equal((await embeddings({ input: Array(vllmMaxModelLen).fill(100) })).status, 200);
    for (const input of [
      Array(vllmMaxModelLen + 1).fill(100),
      [[5], Array(vllmMaxModelLen + 500).fill(100)],
      'gravity '.repeat(2 * vllmMaxModelLen),
    ]) {
      const error = await assertRefused(
        await embeddings({ input }),
        400,
        'BadRequestError',
        /^This model's maximum context length is 2048 tokens\. However, your prompt contains .*input tokens/,
      );
      assert.equal(error.param, 'input_tokens');
    }
  });

  it('refuses another model with 404, and needs none to be named', async () => {
    const error = await assertRefused(
      await embeddings({ model: 'other', input: 'a' }),
      404,
      'NotFoundError',
      /^The model `other` does not exist\.$/,
    );
    assert.equal(error.param, null);
    assert.equal((await post(`${servers.embedding}/v1/embeddings`, { input: 'a' })).status, 200);
  });

  it('refuses broken JSON, another content type, missing and mistyped fields as "Bad Request"', async () => {
    const raw = (body: string, contentType = 'application/json') =>
      fetch(`${servers.embedding}/v1/embeddings`, {
        method: 'POST',
        body,
        headers: { 'content-type': contentType },
      });
    const broken = await assertRefused(await raw('{"input": "a",}'), 400, 'Bad Request', /json_invalid/);
    assert.match(String(broken.param), /^body\.\d+$/);
    await assertRefused(
      await raw('{"input":"a"}', 'text/plain'),
      400,
      'Bad Request',
      /Unsupported Media Type/,
    );
    await assertRefused(await raw('{}'), 400, 'Bad Request', /missing/);
    await assertRefused(await embeddings({ input: { no: 1 } }), 400, 'Bad Request', /validation error/);
    const format = await assertRefused(
      await embeddings({ input: 'a', encoding_format: 'xml' }),
      400,
      'Bad Request',
      /encoding_format/,
    );
    assert.match(String(format.param), /encoding_format/);
  });

  it('scores a pair alike on /rerank, /score, /classify and /pooling, as text and as templated ids', async () => {
    const query = 'What is AI?';
    const documents = ['AI is artificial intelligence', 'AI helps humans', 'Bananas are yellow'];
    const ids = await Promise.all(
      documents.map(document => tokensOf(servers.reranker, templated(query, document))),
    );
    const scored = (await (await reranker('/score', { queries: query, documents })).json()) as ScoreBody;
    const expected = scored.data.map(({ score }) => score);
    assert.ok(new Set(expected).size === 3 && expected.every(score => score > 0 && score < 1), `${expected}`);

    const ranked = (await (await reranker('/rerank', { query, documents })).json()) as RerankBody;
    const byIndex = [...ranked.results].sort((a, b) => a.index - b.index);
    assertClose(
      byIndex.map(result => result.relevance_score),
      expected,
    );
    const classified = (await (await reranker('/classify', { input: ids })).json()) as ClassifyBody;
    assertClose(
      classified.data.map(({ probs }) => probs[0] ?? Number.NaN),
      expected,
    );
    const pooled = (await (await reranker('/pooling', { input: ids })).json()) as PoolingBody<number[]>;
    assertClose(
      pooled.data.map(({ data }) => data[0] ?? Number.NaN),
      expected,
    );
    const base64 = await reranker('/pooling', { input: ids, encoding_format: 'base64' });
    const encoded = (await base64.json()) as PoolingBody<string>;
    assertClose(
      encoded.data.flatMap(({ data }) => toFloats(Buffer.from(data, 'base64'))),
      expected,
    );
    const bare = await reranker('/pooling', { input: ids, encoding_format: 'bytes_only' });
    assertClose(toFloats(Buffer.from(await bare.arrayBuffer())), expected);

    for (const { usage } of [scored, classified, pooled]) {
      assert.equal(usage.prompt_tokens, ids.flat().length);
    }
    assert.deepEqual(ranked.usage, { prompt_tokens: ids.flat().length, total_tokens: ids.flat().length });
  });

  it('answers use_activation=false with the logit of the score', async () => {
    const pair = { queries: 'q', documents: 'd' };
    const scored = (await (await reranker('/score', pair)).json()) as ScoreBody;
    const raw = (await (await reranker('/score', { ...pair, use_activation: false })).json()) as ScoreBody;
    const logit = raw.data[0]?.score ?? Number.NaN;
    assertClose([1 / (1 + Math.exp(-logit))], [scored.data[0]?.score ?? Number.NaN]);
  });

  it('POST /rerank sorts by score, echoes the documents, and cuts at top_n, where 0 is all', async () => {
    const documents = ['a', 'b', 'c', 'd'];
    const ranked = async (topN: number) => {
      const answer = await reranker('/v1/rerank', { query: 'q', documents, top_n: topN });
      return ((await answer.json()) as RerankBody).results;
    };
    const all = await ranked(0);
    assert.deepEqual(
      all.map(result => result.relevance_score),
      all.map(result => result.relevance_score).sort((a, b) => b - a),
    );
    for (const { index, document } of all)
      assert.deepEqual(document, { text: documents[index], multi_modal: null });
    assert.equal(new Set(all.map(({ index }) => index)).size, 4);
    const top = await ranked(2);
    assert.deepEqual(
      top.map(({ index }) => index),
      all.slice(0, 2).map(({ index }) => index),
    );
    assert.equal((await ranked(100)).length, 4);
  });

  it('POST /v2/rerank takes X-Request-Id into the id, and has neither object nor created', async () => {
    const answer = await reranker(
      '/v2/rerank',
      { query: 'q', documents: ['d'] },
      { 'x-request-id': 'req-2' },
    );
    const body = (await answer.json()) as Record<string, unknown>;
    assert.deepEqual(Object.keys(body), ['id', 'model', 'usage', 'results']);
    assert.equal(body.id, 'score-req-2');
    assert.equal(body.model, rerankerModel);
  });

  it('refuses a negative top_n, a query that is a list, documents that are objects or none', async () => {
    const rerank = (body: object) => reranker('/rerank', { query: 'q', documents: ['d'], ...body });
    const top = await assertRefused(await rerank({ top_n: -1 }), 400, 'Bad Request', /top_n/);
    assert.equal(top.param, 'body.top_n');
    await assertRefused(await rerank({ query: ['q'] }), 400, 'Bad Request', /query/);
    await assertRefused(await rerank({ documents: [{ text: 'd' }] }), 400, 'Bad Request', /documents/);
    await assertRefused(
      await rerank({ documents: [] }),
      400,
      'BadRequestError',
      /^At least one text_pair element must be given/,
    );
  });

  it('POST /score takes 1:1, 1:N and N:N, under four pairs of names', async () => {
    const count = async (body: object) => {
      const answer = await reranker('/v1/score', body);
      return ((await answer.json()) as ScoreBody).data.length;
    };
    assert.equal(await count({ text_1: 'q', text_2: 'd' }), 1);
    assert.equal(await count({ queries: 'q', documents: ['d', 'e'] }), 2);
    assert.equal(await count({ data_1: ['q', 'r'], data_2: ['d', 'e'] }), 2);
    assert.equal(await count({ queries: ['q'], items: ['d', 'e', 'f'] }), 3);
    await assertRefused(
      await reranker('/score', { queries: ['q', 'r'], documents: ['d', 'e', 'f'] }),
      400,
      'BadRequestError',
      /^Input lengths must be either 1:1, 1:N or N:N/,
    );
  });

  it('answers /rerank on the embedding server too, with cosines: only `model` tells', async () => {
    const answer = await post(`${servers.embedding}/rerank`, { query: 'same', documents: ['other', 'same'] });
    const { model, results } = (await answer.json()) as RerankBody;
    assert.equal(model, embeddingModel);
    assert.equal(results[0]?.index, 1);
    assert.ok(Math.abs((results[0]?.relevance_score ?? 0) - 1) < 1e-2);
  });

  it('turns token ids back into their text', async () => {
    const prompt = 'naïve 北京, <|im_end|> ok';
    const tokens = await tokensOf(servers.reranker, prompt);
    const answer = await post(`${servers.reranker}/detokenize`, { tokens });
    assert.deepEqual(await answer.json(), { prompt });
  });

  it('drops the inputs of a call whose client hung up', async () => {
    const hangUp = new AbortController();
    // Many seconds of work, on the tiny model as on the fake's cost model.
    const input = Array.from({ length: 200 }, (_, at) => `${at} ${'gravity '.repeat(500)}`);
    const call = fetch(`${servers.embedding}/v1/embeddings`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: embeddingModel, input }),
      signal: hangUp.signal,
    });
    call.catch(() => {});
    const depth = () => queueDepth(servers.embedding);
    const atWork = await waitFor('inputs in the queue', async () => (await depth()) > 50 && depth(), {
      timeoutMs: 30_000,
      intervalMs: 10,
    });
    hangUp.abort();
    await assert.rejects(call, { name: 'AbortError' });
    const hungUpAt = performance.now();
    await waitFor('an empty queue', async () => (await depth()) === 0, { intervalMs: 10 });
    const emptyAfterMs = performance.now() - hungUpAt;
    assert.ok(emptyAfterMs < 5000, `${atWork} inputs took ${emptyAfterMs} ms to go`);
  });
}

interface Usage {
  prompt_tokens: number;
  total_tokens: number;
}
interface ListBody<Item> {
  id: string;
  object: string;
  created: number;
  model: string;
  data: Item[];
  usage: Usage;
}
type EmbeddingsBody = ListBody<{ index: number; object: string; embedding: number[] }>;
type Base64Body = ListBody<{ embedding: string }>;
type ScoreBody = ListBody<{ index: number; object: string; score: number }>;
type ClassifyBody = ListBody<{ probs: number[] }>;
type PoolingBody<T> = ListBody<{ data: T }>;
interface RerankBody {
  model: string;
  usage: Usage;
  results: { index: number; document: unknown; relevance_score: number }[];
}

const post = (url: string, body: object, headers: Record<string, string> = {}) =>
  fetch(url, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  });

async function assertRefused(answer: Response, status: number, type: string, message: RegExp) {
  assert.equal(answer.status, status);
  const { error } = (await answer.json()) as {
    error: { message: string; type: string; param: string | null; code: number };
  };
  assert.equal(error.type, type);
  assert.equal(error.code, status);
  assert.match(error.message, message);
  return error;
}

/** Running and waiting inputs, from the metrics. */
async function queueDepth(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const values = [...text.matchAll(/^vllm:num_requests_(?:running|waiting)\{[^}]*\} (\S+)$/gm)];
  assert.equal(values.length, 2);
  return values.reduce((sum, [, value]) => sum + Number(value), 0);
}

const dot = (a: number[], b: number[]) => a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);

const toFloats = (bytes: Buffer) =>
  Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readFloatLE(4 * at));

/** The batch that an input shares changes its last bits, nothing more. */
function assertClose(actual: number[], expected: number[], tolerance = 5e-4): void {
  assert.equal(actual.length, expected.length);
  for (const [at, value] of actual.entries()) {
    const other = expected[at] ?? Number.NaN;
    assert.ok(Math.abs(value - other) <= tolerance, `[${at}] ${value} is not ${other}`);
  }
}
