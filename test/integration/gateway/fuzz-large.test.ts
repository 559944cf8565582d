import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { type FakeModel, startFakeModel } from '../../kit/fake-model.ts';
import { type SmallSystem, startSmallSystem } from '../../kit/small-system.ts';
import { makeTokenizerFolder } from '../../kit/tokenizer-folder.ts';

/** Bodies up to the real cap: each gets an answer that is no 5xx, in bounded memory, and the next request is served. */

const cap = 32 * 1024 * 1024;
const deadlineMs = 60_000;
/** What a worker may take up at its worst; idle it has about 100 MB. */
const mostMegabytes = 600;
const tokenizer = makeTokenizerFolder();
let models: FakeModel[] = [];
let system: SmallSystem;

before(async () => {
  const [embedding, reranker] = await Promise.all([
    startFakeModel({ role: 'embedding', maxModelLen: 2048 }),
    startFakeModel({ role: 'reranker', maxModelLen: 2048 }),
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

const list = (item: string, count: number) => `[${`${item},`.repeat(count - 1)}${item}]`;
const full = (item: string) => list(item, Math.floor((cap - 200) / (item.length + 1)));
const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
const names = (count: number) => Array.from({ length: count }, (_, index) => `"n${index}":0`).join(',');

for (const [what, path, text, method = 'POST'] of [
  ['16 million ids', '/v1/embeddings', `{"input":${full('0')}}`],
  ['millions of lists of ids', '/v1/embeddings', `{"input":${full('[0]')}}`],
  ['one text of 32 MiB', '/v1/embeddings', `{"input":"${'word '.repeat(6_700_000)}"}`],
  ['2 million numbers', '/v1/embeddings', `{"input":["a",${full('0').slice(1)}}`],
  ['2 million documents that are none', '/v1/rerank', `{"query":"q","documents":${list('0', 2_000_000)}}`],
  ['2 million empty objects', '/v2/rerank', `{"query":"q","documents":${list('{}', 2_000_000)}}`],
  [
    '2 million rank_fields',
    '/v1/rerank',
    `{"query":"q","documents":["a"],"rank_fields":${list('0', 2_000_000)}}`,
  ],
  [
    '2 million documents for Voyage',
    '/v1/rerank',
    `{"query":"q","top_k":1,"documents":${list('0', 2_000_000)}}`,
  ],
  [
    'a document that is nested deeply',
    '/v1/rerank',
    `{"query":"q","documents":[{"text":"a","x":${nested(20_000)}}]}`,
  ],
  [
    'one that is nested to the cap',
    '/rerank',
    `{"query":"q","documents":[{"text":"a","x":${nested(16_000_000)}}]}`,
  ],
  ['2 million texts that are none', '/rerank', `{"query":"q","texts":${list('0', 2_000_000)}}`],
  ['2 million sides of pairs', '/score', `{"queries":"q","documents":${list('0', 2_000_000)}}`],
  ['2 million ids that are none', '/detokenize', `{"tokens":${list('-1', 2_000_000)}}`],
  ['2 million embedding_types', '/v2/embed', `{"texts":["a"],"embedding_types":${list('0', 2_000_000)}}`],
  ['2 million mixed inputs', '/v2/embed', `{"inputs":${list('{}', 2_000_000)}}`],
  ['2 million texts for Cohere 1', '/v1/embed', `{"texts":${list('0', 2_000_000)}}`],
  ['2 million inputs for TEI', '/embed', `{"inputs":["a",${list('0', 2_000_000).slice(1)}}`],
  [
    '2 million indexes that are none',
    '/v1/feedback',
    `{"request_id":"r","relevant":${list('"a"', 2_000_000)}}`,
  ],
  ['a hundred thousand unknown fields', '/v1/feedback', `{"request_id":"r",${names(100_000)}}`],
  ['a key with 2 million models', '/admin/keys', `{"name":"n","models":${list('0', 2_000_000)}}`],
  ['a key whose name is nested deeply', '/admin/keys', `{"name":${nested(20_000)}}`],
  ['a key with unknown fields', '/admin/keys', `{"name":"n",${names(100_000)}}`],
  ['2 million addresses', '/admin/keys/x', `{"allowed_addresses":${list('0', 2_000_000)}}`, 'PATCH'],
  ['2 million keys to import', '/admin/keys/import', `{"keys":${list('0', 2_000_000)}}`],
] as [what: string, path: string, text: string, method?: string][]) {
  test(`${method} ${path}: ${what}`, { timeout: 2 * deadlineMs }, async () => {
    const answer = await system.fetch(path, {
      method,
      body: text,
      headers: { 'content-type': 'application/json' },
      signal: AbortSignal.timeout(deadlineMs),
    });
    const said = await answer.text();
    assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status}: ${said.slice(0, 300)}`);
    assert.ok(said.length < 1000, `an error of ${said.length} characters`);
    const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${system.pid('gateway')}/status`, 'utf8'))?.[1];
    assert.ok(Number(peak) / 1024 < mostMegabytes, `${peak} kB at its peak`);
    const next = await system.post('/v1/embeddings', { input: 'still here' });
    assert.equal(next.status, 200);
  });
}

test('after all of it no process has ended', () => {
  for (const app of ['gateway', 'scheduler', 'state'] as const)
    assert.doesNotMatch(system.output(app), /uncaught|unhandled|heap out of memory/i);
});
