import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { after, before, test } from 'node:test';
import { freePort } from '../kit/free-port.ts';
import { waitFor } from '../kit/wait-for.ts';

const realName = 'universal-sentence-encoder-lite';
const servedNames = { embedding: 'Qwen3-Embedding-0.6B', reranker: 'Qwen3-Reranker-0.6B' };
const embeddingSize = 512;

interface Engine {
  url: string;
  child: ChildProcess;
  /** What it printed so far. */
  output: () => string;
  stop: () => Promise<void>;
}

function spawnEngine(...args: string[]) {
  const child = spawn(process.execPath, ['apps/engine/src/main.ts', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', chunk => {
    output += chunk;
  });
  child.stderr.on('data', chunk => {
    output += chunk;
  });
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  return { child, output: () => output, stop };
}

async function startEngine(role: 'embedding' | 'reranker'): Promise<Engine> {
  const port = await freePort();
  const engine = spawnEngine('--role', role, '--port', `${port}`, '--served-name', servedNames[role]);
  const url = `http://127.0.0.1:${port}`;
  try {
    await waitFor(`the ${role} engine to listen`, async () => (await fetch(`${url}/health`)).ok, {
      timeoutMs: 60_000,
    });
  } catch (error) {
    await engine.stop();
    throw new Error(engine.output(), { cause: error });
  }
  return { ...engine, url };
}

interface Answer {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: each test states what it expects of the JSON
  json: any;
}

async function post(url: string, body: unknown, init: RequestInit = {}): Promise<Answer> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...init,
  });
  return { status: answer.status, json: await answer.json() };
}

const getJson = async (url: string) => (await fetch(url)).json() as Promise<Answer['json']>;

async function metric(engine: Engine, name: string): Promise<number> {
  const text = await (await fetch(`${engine.url}/metrics`)).text();
  const value = text.match(new RegExp(`^vllm:${name}\\{.*\\} (\\d+)$`, 'm'))?.[1];
  assert.ok(value, `no ${name} in ${text}`);
  return Number(value);
}

async function embed(engine: Engine, input: unknown, options = {}): Promise<number[][]> {
  const { status, json } = await post(`${engine.url}/v1/embeddings`, { input, ...options });
  assert.equal(status, 200, JSON.stringify(json));
  return json.data.map((item: { embedding: number[] }) => item.embedding);
}

const dot = (a: number[], b: number[]) => a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
const lengthOf = (vector: number[]) => Math.sqrt(dot(vector, vector));

let embedding: Engine;
let reranker: Engine;
before(async () => {
  embedding = await startEngine('embedding');
  reranker = await startEngine('reranker');
});
after(async () => {
  await embedding?.stop();
  await reranker?.stop();
});

test('it can answer as soon as it accepts connections, and says so on stdout as vLLM does', async () => {
  const engine = await startEngine('embedding');
  try {
    assert.equal((await embed(engine, 'hello')).length, 1);
    assert.match(engine.output(), /^Application startup complete\.$/m);
  } finally {
    await engine.stop();
  }
});

test('/health is 200 and empty; /version and /load answer; other paths and methods get FastAPI answers', async () => {
  const health = await fetch(`${embedding.url}/health`);
  assert.deepEqual([health.status, await health.text()], [200, '']);
  assert.equal((await getJson(`${embedding.url}/version`)).version, '0.32.0+builtin');
  assert.deepEqual(await getJson(`${embedding.url}/load`), { server_load: 0 });
  const wrongMethod = await fetch(`${embedding.url}/health`, { method: 'POST' });
  assert.deepEqual(
    [wrongMethod.status, wrongMethod.headers.get('allow'), await wrongMethod.json()],
    [405, 'GET', { detail: 'Method Not Allowed' }],
  );
  for (const url of [`${embedding.url}/rerank`, `${reranker.url}/v1/embeddings`, `${reranker.url}/nothing`])
    assert.deepEqual(await post(url, {}), { status: 404, json: { detail: 'Not Found' } });
});

test('/v1/models has the served name as its id and names the model that really answers', async () => {
  const { data } = await getJson(`${embedding.url}/v1/models`);
  assert.equal(data.length, 1);
  const { id, root, engine, max_model_len } = data[0];
  assert.deepEqual(
    { id, root, engine, max_model_len },
    { id: servedNames.embedding, root: realName, engine: realName, max_model_len: 2048 },
  );
});

test('embeddings come in the order of the inputs, of length 1, with the tokens that /tokenize counts', async () => {
  const input = ['AI is artificial intelligence', '', 'Bananas are yellow', 'AI is artificial intelligence'];
  const { status, json } = await post(
    `${embedding.url}/v1/embeddings`,
    { model: servedNames.embedding, input },
    { headers: { 'content-type': 'application/json; charset=utf-8', 'x-request-id': 'abc' } },
  );
  assert.equal(status, 200);
  assert.deepEqual([json.id, json.object, json.model], ['embd-abc', 'list', realName]);
  assert.deepEqual(
    json.data.map((item: { index: number }) => item.index),
    [0, 1, 2, 3],
  );
  const vectors = json.data.map((item: { embedding: number[] }) => item.embedding) as number[][];
  for (const vector of vectors) {
    assert.equal(vector.length, embeddingSize);
    assert.ok(Math.abs(lengthOf(vector) - 1) < 1e-5);
  }
  const [first = [], , third = [], fourth = []] = vectors;
  assert.ok(dot(first, fourth) > 0.9999 && dot(first, third) < 0.5);
  const counts = await Promise.all(
    input.map(async prompt => (await post(`${embedding.url}/tokenize`, { prompt })).json.count as number),
  );
  assert.equal(counts[1], 1);
  assert.equal(
    json.usage.prompt_tokens,
    counts.reduce((sum, count) => sum + count, 0),
  );
  assert.equal(json.usage.total_tokens, json.usage.prompt_tokens);
});

test('base64 holds the float32 values of the float answer, little endian', async () => {
  const [numbers = []] = await embed(embedding, 'hello');
  const [text] = (await embed(embedding, ['hello'], { encoding_format: 'base64' })) as unknown as string[];
  const bytes = Buffer.from(text ?? '', 'base64');
  assert.equal(bytes.length, embeddingSize * 4);
  assert.deepEqual(
    numbers.map((_, index) => bytes.readFloatLE(index * 4)),
    numbers,
  );
});

test('the vector of a text does not depend on what else is in the request', async () => {
  const [alone = []] = await embed(embedding, 'Hello there, friend');
  const [, among = []] = await embed(embedding, ['x', 'Hello there, friend', 'words '.repeat(100)]);
  assert.ok(Math.max(...alone.map((value, index) => Math.abs(value - (among[index] ?? 0)))) < 1e-5);
});

test('token ids are taken for the text that they stand for', async () => {
  const text = 'Explain gravity';
  const { tokens } = (await post(`${embedding.url}/tokenize`, { prompt: text })).json;
  const [ofText = []] = await embed(embedding, text);
  for (const input of [tokens, [tokens], [tokens, 'other']])
    assert.ok(dot((await embed(embedding, input))[0] ?? [], ofText) > 0.99999);
});

test('dimensions cuts the vector and gives it length 1 again; null leaves it', async () => {
  const [whole = []] = await embed(embedding, 'hello', { dimensions: null });
  const [short = []] = await embed(embedding, 'hello', { dimensions: 64 });
  assert.equal(whole.length, embeddingSize);
  assert.equal(short.length, 64);
  const norm = lengthOf(whole.slice(0, 64));
  for (const [index, value] of short.entries())
    assert.ok(Math.abs(value - (whole[index] ?? 0) / norm) < 1e-6);
});

test('inputs are cut as vLLM cuts them: the first tokens stay', async () => {
  const words = 'word '.repeat(2500).trim();
  const vectorOf = async (input: unknown, more = {}) => {
    const { status, json } = await post(`${embedding.url}/v1/embeddings`, { input, ...more });
    assert.equal(status, 200, JSON.stringify(json));
    return [json.data[0].embedding, json.usage.prompt_tokens];
  };
  const five = 'word word word word word';
  assert.deepEqual(await vectorOf(words, { truncate_prompt_tokens: 5 }), await vectorOf(five));
  assert.equal((await vectorOf(words, { truncate_prompt_tokens: -1 }))[1], 2048);
  const score = async (body: object) => (await post(`${reranker.url}/score`, body)).json.data[0].score;
  assert.equal(
    await score({
      queries: `${five} query`,
      documents: words,
      max_tokens_per_doc: 5,
      max_tokens_per_query: 5,
    }),
    await score({ queries: five, documents: five }),
  );
});

test('/tokenize and /detokenize use the vocabulary of the model that really answers', async () => {
  const { json } = await post(`${reranker.url}/tokenize`, {
    prompt: 'Hello World',
    return_token_strs: true,
  });
  assert.deepEqual(json, {
    count: 3,
    max_model_len: 2048,
    tokens: [341, 4125, 1369],
    token_strs: ['\u2581H', 'ello', '\u2581World'],
  });
  const back = await post(`${reranker.url}/detokenize`, { tokens: json.tokens });
  assert.deepEqual(back.json, { prompt: 'Hello World' });
});

/** A query, the document that answers it, and one that does not. */
const pairs: [query: string, relevant: string, unrelated: string][] = [
  ['What is AI?', 'AI is artificial intelligence', 'The cat sat on the mat'],
  [
    'What is the capital of China?',
    'The capital of China is Beijing.',
    'Gravity is a force that attracts two bodies.',
  ],
  [
    'How do I reset my password?',
    'Click forgot password on the login page.',
    'Our office is closed on Sundays.',
  ],
  [
    'why is the sky blue',
    'The sky is blue because air scatters blue light.',
    'Share prices fell on Wall Street.',
  ],
  ['refund policy', 'You can return the item and get your money back.', 'Boil the noodles in salted water.'],
];

for (const [query, relevant, unrelated] of pairs) {
  test(`"${query}" is nearer to its answer than to "${unrelated}"`, async () => {
    const [q = [], yes = [], no = []] = await embed(embedding, [query, relevant, unrelated]);
    assert.ok(dot(q, yes) > dot(q, no) + 0.2);
    const { json } = await post(`${reranker.url}/rerank`, { query, documents: [unrelated, relevant] });
    assert.deepEqual(
      json.results.map((result: { index: number }) => result.index),
      [1, 0],
    );
    assert.ok(json.results[0].relevance_score > 0.5 && json.results[1].relevance_score < 0.5);
  });
}

test('a passage at the end of a long text still counts', async () => {
  const filler = 'Share prices fell on Wall Street today as investors sold bonds. '.repeat(30);
  const answer = 'Plants turn sunlight into sugar; this is called photosynthesis. '.repeat(10);
  const { json } = await post(`${reranker.url}/score`, {
    queries: 'how does photosynthesis work in plants',
    documents: [filler + answer, filler],
  });
  assert.ok(json.data[0].score > json.data[1].score * 2, JSON.stringify(json.data));
});

test('rerank sorts by score, keeps equals in the order of the request, and echoes the documents', async () => {
  const documents = ['Bananas are yellow', 'AI is artificial intelligence', 'Bananas are yellow'];
  const query = 'What is AI?';
  const { json } = await post(`${reranker.url}/v1/rerank`, {
    model: servedNames.reranker,
    query,
    documents: [...documents, ...documents],
  });
  assert.deepEqual(
    json.results.map((result: { index: number }) => result.index),
    [1, 4, 0, 2, 3, 5],
  );
  assert.deepEqual(json.results[0].document, { text: documents[1], multi_modal: null });
  assert.equal(json.model, realName);
  const count = async (prompt: string) => (await post(`${reranker.url}/tokenize`, { prompt })).json.count;
  const [q, a, b] = await Promise.all([query, 'Bananas are yellow', documents[1] ?? ''].map(count));
  assert.deepEqual(json.usage, { prompt_tokens: 6 * q + 4 * a + 2 * b, total_tokens: 6 * q + 4 * a + 2 * b });
});

test('top_n keeps the best; 0 and more than there are keep all; one document may come as a string', async () => {
  const body = { query: 'What is AI?', documents: ['Bananas', 'artificial intelligence', 'AI'] };
  for (const [topN, kept] of [
    [1, 1],
    [2, 2],
    [0, 3],
    [9, 3],
  ]) {
    const { json } = await post(`${reranker.url}/v2/rerank`, { ...body, top_n: topN });
    assert.equal(json.results.length, kept);
  }
  const { json } = await post(`${reranker.url}/rerank`, { query: 'a', documents: 'b' });
  assert.equal(json.results.length, 1);
});

test('score takes one query for all documents or one for each, under all of their names', async () => {
  const scores = async (body: object) => {
    const { status, json } = await post(`${reranker.url}/v1/score`, body);
    assert.equal(status, 200, JSON.stringify(json));
    return json.data.map((item: { index: number; score: number }, index: number) => {
      assert.equal(item.index, index);
      return item.score as number;
    }) as number[];
  };
  const [near = 0, far = 1] = await scores({
    queries: 'What is AI?',
    documents: ['AI is a field', 'Bananas'],
  });
  assert.ok(near > far);
  const nearly = (actual: number[], expected: number[]) => {
    assert.equal(actual.length, expected.length);
    for (const [index, score] of actual.entries())
      assert.ok(Math.abs(score - (expected[index] ?? 2)) < 1e-4, `${actual} for ${expected}`);
  };
  const queries = ['What is AI?', 'What is AI?'];
  nearly(await scores({ queries, documents: ['Bananas', 'AI is a field'] }), [far, near]);
  nearly(await scores({ text_1: queries, text_2: ['Bananas', 'AI is a field'] }), [far, near]);
  nearly(await scores({ data_1: 'What is AI?', data_2: 'Bananas' }), [far]);
  nearly(await scores({ queries: ['What is AI?'], items: 'Bananas' }), [far]);
});

test('the model may be named by its served or its real name, or not at all', async () => {
  for (const model of [servedNames.embedding, realName, null, '', undefined])
    assert.equal((await post(`${embedding.url}/v1/embeddings`, { model, input: 'x' })).status, 200);
});

// biome-ignore format: one mistake a line
const mistakes: [title: string, path: string, body: unknown, error: string, message: RegExp][] = [
  ['another model', '/v1/embeddings', { model: 'other', input: 'x' }, '404 NotFoundError null', /^The model `other` does not exist\.$/],
  ['another model', '/tokenize', { model: 'other', prompt: 'x' }, '404 NotFoundError null', /does not exist/],
  ['no input', '/v1/embeddings', {}, '400 Bad Request body.input', /validation error/],
  ['input is a number', '/v1/embeddings', { input: 1 }, '400 Bad Request body.input', /validation error/],
  ['an empty list', '/v1/embeddings', { input: [] }, '400 BadRequestError null', /at least one prompt/],
  ['an empty list of ids', '/v1/embeddings', { input: [[1], []] }, '400 BadRequestError null', /cannot be empty/],
  ['an unknown id', '/v1/embeddings', { input: [8000] }, '400 BadRequestError null', /8000 is out of vocabulary/],
  ['an unknown format', '/v1/embeddings', { input: 'x', encoding_format: 'hex' }, '400 Bad Request body.encoding_format', /float/],
  ['too many dimensions', '/v1/embeddings', { input: 'x', dimensions: 1024 }, '400 BadRequestError null', /in range \[1, 512\], got 1024/],
  ['no dimensions', '/v1/embeddings', { input: 'x', dimensions: 0 }, '400 BadRequestError null', /got 0/],
  ['cutting the prompt', '/score', { queries: 'x', documents: 'x', truncate_prompt_tokens: 5 }, '400 Bad Request body.truncate_prompt_tokens', /not supported/],
  ['broken JSON', '/v1/embeddings', '{"input": "secret', '400 Bad Request body', /^1 validation error:\n {2}body: JSON/],
  ['an empty body', '/v1/embeddings', '', '400 Bad Request body', /required/],
  ['too many tokens', '/v1/embeddings', { input: ['x', 'word '.repeat(2049)] }, '400 BadRequestError input_tokens', /^This model's maximum context length is 2048 tokens\. However, your prompt contains 2049 input tokens/],
  ['no query', '/rerank', { documents: ['x'] }, '400 Bad Request body.query', /validation error/],
  ['a list as the query', '/rerank', { query: ['x'], documents: ['x'] }, '400 Bad Request body.query', /validation error/],
  ['no documents', '/rerank', { query: 'x', documents: [] }, '400 BadRequestError null', /At least one text_pair/],
  ['a negative top_n', '/rerank', { query: 'x', documents: ['x'], top_n: -1 }, '400 Bad Request body.top_n', /validation error/],
  ['lengths that do not match', '/score', { queries: ['x', 'y'], documents: ['x', 'y', 'z'] }, '400 BadRequestError null', /1:1, 1:N or N:N/],
  ['no queries', '/score', { documents: ['x'] }, '400 Bad Request body.queries', /required/],
];
for (const [title, path, body, expected, message] of mistakes) {
  test(`${path}, ${title}: ${expected.split(' ', 1)} in vLLM's envelope`, async () => {
    const engine = path === '/rerank' || path === '/score' ? reranker : embedding;
    const { status, json } = await post(engine.url + path, body);
    assert.deepEqual(Object.keys(json.error), ['message', 'type', 'param', 'code']);
    assert.equal(`${json.error.code} ${json.error.type} ${json.error.param}`, expected);
    assert.equal(status, json.error.code);
    assert.match(json.error.message, message);
    assert.doesNotMatch(json.error.message, /secret/);
  });
}

test('a body that is not declared as JSON is refused', async () => {
  const { status, json } = await post(`${embedding.url}/v1/embeddings`, '{"input":"x"}', {
    headers: { 'content-type': 'text/plain' },
  });
  assert.equal(status, 400);
  assert.match(json.error.message, /Only 'application\/json' is allowed/);
});

test('while it works on 2,048 texts it answers /health and small requests, and a hang-up frees it', async () => {
  const tokensBefore = await metric(embedding, 'prompt_tokens_total');
  const hangUp = new AbortController();
  const input = Array.from(
    { length: 2048 },
    (_, index) => `The quick brown fox jumps over ${index} lazy dogs`,
  );
  const large = post(`${embedding.url}/v1/embeddings`, { input }, { signal: hangUp.signal });
  const rejected = assert.rejects(large, { name: 'AbortError' });
  await waitFor('the model to be busy', async () => (await metric(embedding, 'num_requests_waiting')) > 1000);
  assert.deepEqual(await getJson(`${embedding.url}/load`), { server_load: 1 });

  for (let probe = 0; probe < 50; probe++) {
    const startedAt = performance.now();
    assert.equal((await fetch(`${embedding.url}/health`)).status, 200);
    const tookMs = performance.now() - startedAt;
    // A slice of the model's work takes 100 ms and more; it must not be in the way.
    assert.ok(tookMs < 1000, `/health took ${tookMs} ms`);
  }
  assert.equal((await embed(embedding, 'small')).length, 1);
  assert.ok((await metric(embedding, 'num_requests_waiting')) > 500, 'the large request is still waiting');

  hangUp.abort();
  await rejected;
  await waitFor('the model to be free', async () => {
    const counts = [
      await metric(embedding, 'num_requests_waiting'),
      await metric(embedding, 'num_requests_running'),
    ];
    return counts.every(count => count === 0);
  });
  const { count } = (await post(`${embedding.url}/tokenize`, { prompt: 'small' })).json;
  assert.equal(await metric(embedding, 'prompt_tokens_total'), tokensBefore + count);
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal}: it stops listening, finishes what is in flight, exits with 0`, async () => {
    const engine = await startEngine('embedding');
    try {
      const input = Array.from({ length: 64 }, (_, index) => `Text number ${index} about foxes`);
      const inFlight = embed(engine, input);
      await waitFor('work', async () => (await metric(engine, 'num_requests_waiting')) > 0);
      const exited = once(engine.child, 'exit');
      engine.child.kill(signal);
      await waitFor('connections to be refused', async () => {
        const refused = await fetch(`${engine.url}/health`, { headers: { connection: 'close' } }).catch(
          () => true,
        );
        return refused === true;
      });
      assert.equal((await inFlight).length, 64);
      assert.deepEqual(await exited, [0, null]);
    } finally {
      await engine.stop();
    }
  });
}

test('a connection that never asked anything does not keep it from stopping', async () => {
  const engine = await startEngine('embedding');
  const socket = connect(Number(new URL(engine.url).port), '127.0.0.1');
  try {
    await once(socket, 'connect');
    const exited = once(engine.child, 'exit');
    engine.child.kill('SIGTERM');
    assert.deepEqual(await exited, [0, null]);
  } finally {
    socket.destroy();
    await engine.stop();
  }
});

test('a taken port: one clear line, exit code 1', async () => {
  const holder = createServer();
  holder.listen(0, '127.0.0.1');
  await once(holder, 'listening');
  const { port } = holder.address() as AddressInfo;
  const engine = spawnEngine('--role', 'embedding', '--port', `${port}`, '--served-name', 'name');
  try {
    assert.deepEqual(await once(engine.child, 'close'), [1, null]);
    assert.equal(engine.output(), `ERROR: cannot listen on 127.0.0.1:${port}: Address already in use\n`);
  } finally {
    await engine.stop();
    holder.close();
  }
});

test('a wrong command line: one clear line, exit code 2', async () => {
  const engine = spawnEngine('--role', 'chat', '--port', '1', '--served-name', 'name');
  assert.deepEqual(await once(engine.child, 'close'), [2, null]);
  assert.equal(engine.output(), 'ERROR: --role must be embedding or reranker\n');
});
