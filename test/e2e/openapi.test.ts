import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { dialectRoutes } from '../../apps/gateway/src/dialects/table.ts';
import { installPythonSet } from '../kit/clients.ts';
import { type FakeModel, startFakeModel } from '../kit/fake-model.ts';
import { runProgram } from '../kit/run-program.ts';
import { type SmallSystem, startSmallSystem } from '../kit/small-system.ts';
import { makeTokenizerFolder } from '../kit/tokenizer-folder.ts';

/** What /openapi.json promises, held to by schemathesis: good requests are taken, bad ones refused, answers fit. */

const timeoutMs = 900_000;
const examples = 40;
/**
 * On these routes a request can be refused for what JSON Schema cannot say: lists that must pair up, two names of one thing,
 * an instruction without a query, a cut that leaves nothing.
 */
const settings = `
[[operations]]
include-path-regex = "^/(v1/)?(embeddings|embed|rerank|score)$|^/v2/(embed|rerank)$"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400"]

# Nor which models there are, and what an address is.
[[operations]]
include-path-regex = "^/admin/keys"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "403", "404"]

# Nobody knows the request ids that it makes up.
[[operations]]
include-path = "/v1/feedback"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404"]
`;
const tokenizer = makeTokenizerFolder();
let models: FakeModel[] = [];
let system: SmallSystem;

before(async () => {
  const [embedding, reranker] = await Promise.all([
    startFakeModel({ role: 'embedding' }),
    startFakeModel({ role: 'reranker' }),
  ]);
  models = [embedding, reranker];
  system = await startSmallSystem({
    embeddingUrls: [embedding.url],
    rerankerUrls: [reranker.url],
    env: { ER_MODELS_EMBEDDING_PATH: tokenizer.path, ER_MODELS_RERANKER_PATH: tokenizer.path },
  });
});
after(async () => {
  await system?.stop();
  for (const model of models) await model.stop();
  tokenizer.remove();
});

test('every route answers 200: to the examples of the document, or to a GET', async () => {
  interface Operation {
    requestBody?: { content: { 'application/json': { examples?: Record<string, { value: unknown }> } } };
  }
  const { paths } = (await (await system.fetch('/openapi.json')).json()) as {
    paths: Record<string, { get?: Operation; post?: Operation }>;
  };
  // Schemathesis would take a route for good that refuses everything: 400 is allowed where a schema cannot say it all.
  for (const { path } of dialectRoutes) {
    const examples = Object.values(
      paths[path]?.post?.requestBody?.content['application/json'].examples ?? {},
    );
    assert.ok(examples.length > 0, path);
    for (const { value } of examples) {
      const answer = await system.post(path, value);
      assert.equal(answer.status, 200, `${path}: ${await answer.text()}`);
    }
  }
  for (const [path, { get }] of Object.entries(paths)) {
    if (!get || path.includes('{')) continue;
    assert.equal((await system.fetch(path)).status, 200, path);
  }
  const made = await system.post('/admin/keys', { name: 'from the document' });
  assert.equal(made.status, 201);
  const { id } = (await made.json()) as { id: string };
  for (const path of [`/admin/keys/${id}`, '/v1/models/Qwen3-Embedding-0.6B'])
    assert.equal((await system.fetch(path)).status, 200, path);
  const reranked = await system.post('/v1/rerank', { query: 'q', documents: ['a', 'b'] });
  const feedback = { request_id: reranked.headers.get('x-request-id'), relevant: [0], rating: 5 };
  assert.equal((await system.post('/v1/feedback', feedback)).status, 200);
});

test('schemathesis finds nothing between /openapi.json and the routes', { timeout: timeoutMs }, async () => {
  const folder = await installPythonSet('sdks');
  const document = join(system.folder, 'openapi.json');
  const config = join(system.folder, 'schemathesis.toml');
  writeFileSync(document, await (await system.fetch('/openapi.json')).text());
  writeFileSync(config, settings);
  const { code, output } = await runProgram(
    join(folder, 'bin/schemathesis'),
    [
      ...['--config-file', config, 'run', document, '--url', system.url, '--no-color', '--seed', '1'],
      ...['--header', `Authorization: Bearer ${system.key}`, '--max-examples', String(examples)],
      ...['--checks', 'all', '--continue-on-failure'],
    ],
    { cwd: system.folder, env: { PATH: process.env.PATH }, timeoutMs },
  );
  assert.equal(code, 0, output.slice(-12_000));
});
