import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI, {
  APIError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
} from 'openai';
import { type KeyFile, makeKeyFile } from '../kit/key-file.ts';
import { type Stack, startStack } from '../kit/stack.ts';
import { waitFor } from '../kit/wait-for.ts';

const requestsPerMinute = 30;
const model = 'Qwen3-Embedding-0.6B';

let keyFile: KeyFile;
let stack: Stack;
let client: OpenAI;

before(async () => {
  keyFile = makeKeyFile(2);
  stack = await startStack({
    env: { ER_KEYS_FILE: keyFile.file, ER_LIMITS_REQUESTS_PER_MINUTE: String(requestsPerMinute) },
  });
  client = clientWith(keyFile.keys[0]);
});
after(async () => {
  await stack?.stop();
  keyFile?.remove();
});

const clientWith = (apiKey = '') => new OpenAI({ apiKey, baseURL: `${stack.url}/v1`, maxRetries: 0 });

/** The error that a call ends with. */
async function errorOf(call: Promise<unknown>): Promise<APIError> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof APIError, String(error));
    return error;
  }
  throw new Error('the call succeeded');
}

test('embeddings as base64, which the client asks for by itself, are those as float', async () => {
  const request = { model, input: ['Hello, world!', 'The train to Lisbon leaves at noon'] };
  const base64 = await client.embeddings.create(request);
  const float = await client.embeddings.create({ ...request, encoding_format: 'float' });
  assert.deepEqual(
    base64.data.map(({ index, object, embedding }) => [index, object, embedding.length]),
    [
      [0, 'embedding', 512],
      [1, 'embedding', 512],
    ],
  );
  // Float text is the shortest that gives the same 32 bits again.
  for (const [index, { embedding }] of base64.data.entries())
    assert.deepEqual(embedding, float.data[index]?.embedding.map(Math.fround));
  assert.deepEqual(base64.usage, float.usage);
  assert.ok(base64.usage.prompt_tokens > 0);
});

test('models.list and models.retrieve show both models', async () => {
  const { data } = await client.models.list();
  assert.deepEqual(data.map(({ id }) => id).sort(), ['Qwen3-Embedding-0.6B', 'Qwen3-Reranker-0.6B']);
  const one = await client.models.retrieve(model);
  assert.deepEqual([one.id, one.object], [model, 'model']);
});

test('a wrong key is its AuthenticationError', async () => {
  const error = await errorOf(clientWith(`er-${'x'.repeat(40)}`).models.list());
  assert.ok(error instanceof AuthenticationError);
  assert.deepEqual([error.status, error.code, error.type], [401, 'invalid_api_key', 'invalid_request_error']);
  assert.ok(error.requestID);
});

test('an unknown model is its NotFoundError, with model as the param', async () => {
  const error = await errorOf(client.embeddings.create({ model: 'text-embedding-9', input: 'a' }));
  assert.ok(error instanceof NotFoundError);
  assert.deepEqual([error.status, error.code, error.param], [404, 'model_not_found', 'model']);
});

test('an empty input is its BadRequestError, with input as the param', async () => {
  const error = await errorOf(client.embeddings.create({ model, input: '' }));
  assert.ok(error instanceof BadRequestError);
  assert.deepEqual([error.status, error.code, error.param], [400, 'invalid_request', 'input']);
});

test('a key over its limit gets its RateLimitError, which says when to try again', async () => {
  const second = clientWith(keyFile.keys[1]);
  for (let request = 0; request < requestsPerMinute; request++) await second.models.list();
  const error = await errorOf(second.models.list());
  assert.ok(error instanceof RateLimitError);
  assert.deepEqual([error.status, error.code, error.type], [429, 'rate_limit_exceeded', 'rate_limit_error']);
  assert.ok(Number(error.headers?.get('retry-after')) >= 1);
  assert.ok(Number(error.headers?.get('retry-after-ms')) > 0);
});

test('a model that is down is its InternalServerError with 503, and its retries outlast a restart', async () => {
  const stopped = await stack.run('models', 'stop', 'embedding');
  assert.equal(stopped.code, 0, stopped.output);
  const down = async () => (await fetch(`${stack.url}/health`)).status === 503;
  await waitFor('/health to see it', down);
  const error = await errorOf(client.embeddings.create({ model, input: 'not in the cache' }));
  assert.ok(error instanceof InternalServerError);
  assert.deepEqual([error.status, error.code], [503, 'no_available_upstream']);
  assert.ok(Number(error.headers?.get('retry-after')) >= 1);

  const patient = client.withOptions({ maxRetries: 10 });
  const [answer, started] = await Promise.all([
    patient.embeddings.create({ model, input: 'not in the cache' }),
    stack.run('models', 'start', 'embedding'),
  ]);
  assert.equal(started.code, 0, started.output);
  assert.equal(answer.data[0]?.embedding.length, 512);
});
