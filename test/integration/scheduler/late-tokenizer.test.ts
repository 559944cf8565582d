import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type FakeModel, startFakeModel } from '../../kit/fake-model.ts';
import { startSmallSystem } from '../../kit/small-system.ts';
import { makeTokenizerFolder } from '../../kit/tokenizer-folder.ts';
import { waitFor } from '../../kit/wait-for.ts';

test('a tokenizer that comes later than the scheduler is used when its server comes back; why it was not is said once', async () => {
  const folder = makeTokenizerFolder();
  const late = mkdtempSync(join(tmpdir(), 'er-late-'));
  const file = join(late, 'tokenizer.json');
  // Not even a look at it is possible: a name that no file system takes.
  const unreadable = join(late, 'x'.repeat(300));
  writeFileSync(file, '{}');
  const models: FakeModel[] = await Promise.all([
    startFakeModel({ role: 'embedding' }),
    startFakeModel({ role: 'reranker' }),
  ]);
  const [embedding, reranker] = models as [FakeModel, FakeModel];
  const system = await startSmallSystem({
    embeddingUrls: [embedding.url],
    rerankerUrls: [reranker.url],
    env: { ER_MODELS_EMBEDDING_PATH: late, ER_MODELS_RERANKER_PATH: unreadable },
  });
  try {
    const tokens = async (input: unknown) => {
      const answer = await system.post('/v1/embeddings', { input });
      assert.equal(answer.status, 200, await answer.clone().text());
      return ((await answer.json()) as { usage: { prompt_tokens: number } }).usage.prompt_tokens;
    };
    // The fake's own tokenizer: two bytes a token.
    assert.equal(await tokens('Explain gravity'), 9);
    writeFileSync(`${file}.new`, readFileSync(join(folder.path, 'tokenizer.json')));
    renameSync(`${file}.new`, file);
    await embedding.fault({ mode: 'loading', ms: 4000 });
    await waitFor('the scheduler to see it down', async () => (await system.fetch('/health')).status === 503);
    await waitFor('the model to be back', async () => (await system.fetch('/health')).status === 200);
    assert.equal(await tokens('Explain gravity'), 4);
    const said = system
      .output('scheduler')
      .split('\n')
      .filter(line => line.includes('its server tokenizes'));
    assert.equal(said.length, 2, said.join('\n')); // one for each model
    assert.match(
      said.join(),
      /cannot use the tokenizer.*ENAMETOOLONG|ENAMETOOLONG.*cannot use the tokenizer/s,
    );
  } finally {
    await system.stop();
    for (const model of models) await model.stop();
    folder.remove();
    rmSync(late, { recursive: true });
  }
});
