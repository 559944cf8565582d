import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { FakeModelOptions } from '../../fake-model/options.ts';
import { type FakeModel, startFakeModel } from '../../kit/fake-model.ts';
import { startSmallSystem } from '../../kit/small-system.ts';
import { makeTokenizerFolder } from '../../kit/tokenizer-folder.ts';
import { waitFor } from '../../kit/wait-for.ts';

/** A reranker that somebody else has started wrongly serves nobody, and /health says which flag it lacks. */

const servedName = 'Qwen3-Reranker-0.6B';
const tokenizer = makeTokenizerFolder();
const folder = mkdtempSync(join(tmpdir(), 'er-wrong-'));
/** As vLLM ships it: Jinja takes the last of its two line breaks. */
const shortTemplate = join(folder, 'short.jinja');
writeFileSync(
  shortTemplate,
  readFileSync('supervisor/templates/qwen3_reranker.jinja', 'utf8').replace(/\n$/, ''),
);
let embedding: FakeModel;

before(async () => {
  embedding = await startFakeModel({ role: 'embedding' });
});
after(async () => {
  await embedding?.stop();
  tokenizer.remove();
  rmSync(folder, { recursive: true });
});

for (const [title, options, path, advice] of [
  ['no overrides', { role: 'embedding' }, null, /does not run as a reranker.*--hf-overrides/],
  [
    'no overrides, with its folder here',
    { role: 'embedding' },
    tokenizer.path,
    /not a score.*--hf-overrides/,
  ],
  ['no template', { chatTemplate: null }, null, /applies no chat template.*--chat-template/],
  ['the template of vLLM', { chatTemplate: shortTemplate }, null, /is not Qwen's.*--chat-template/],
] as [string, Partial<FakeModelOptions>, string | null, RegExp][]) {
  test(`a reranker with ${title}`, async () => {
    const reranker = await startFakeModel({ role: 'reranker', servedName, ...options });
    const system = await startSmallSystem({
      embeddingUrls: [embedding.url],
      rerankerUrls: [reranker.url],
      waitForModels: false,
      ...(path !== null && { env: { ER_MODELS_RERANKER_PATH: path } }),
    });
    try {
      let said = '';
      await waitFor('the reason', async () => {
        said = await (await system.fetch('/health')).text();
        return advice.test(said);
      }).catch(error => {
        throw new Error(said, { cause: error });
      });
      const answer = await system.post('/v1/rerank', { query: 'q', documents: ['d'] });
      assert.equal(answer.status, 503);
    } finally {
      await system.stop();
      await reranker.stop();
    }
  });
}
