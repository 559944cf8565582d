import { after, before, test } from 'node:test';
import { clientPrograms } from '../kit/clients.ts';
import { type FakeModel, startFakeModel } from '../kit/fake-model.ts';
import { jinaCurls } from '../kit/jina-curls.ts';
import { type Stack, startStack } from '../kit/stack.ts';
import { makeTokenizerFolder } from '../kit/tokenizer-folder.ts';

/** Clients that people have already, in their current versions, with nothing changed but the base URL and the key. */

/** The first test of each kind installs its clients. */
const timeoutMs = 900_000;
const tokenizer = makeTokenizerFolder();
let models: FakeModel[] = [];
let stack: Stack;

before(async () => {
  const [embedding, reranker] = await Promise.all([
    startFakeModel({ role: 'embedding' }),
    startFakeModel({ role: 'reranker' }),
  ]);
  models = [embedding, reranker];
  stack = await startStack({
    workers: 2,
    env: {
      ER_ENGINE: 'external',
      ER_MODELS_EMBEDDING_URLS: embedding.url,
      ER_MODELS_RERANKER_URLS: reranker.url,
      ER_MODELS_EMBEDDING_PATH: tokenizer.path,
      ER_MODELS_RERANKER_PATH: tokenizer.path,
      ER_LIMITS_REQUESTS_PER_MINUTE: '100000',
    },
  });
});
after(async () => {
  await stack?.stop();
  for (const model of models) await model.stop();
  tokenizer.remove();
});

for (const { name, run } of clientPrograms()) {
  test(`${name} works by changing the base URL`, { timeout: timeoutMs }, () => run(stack));
}

test('Jina’s own curls work, with objects, return_documents and a task', () => jinaCurls(stack));
