import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { EmbedJob, ScoreJob } from '@er-gateway/shared/scheduler-protocol';
import {
  type EmbeddingPreparation,
  prepareEmbedding,
} from '../../../apps/scheduler/src/models/embedding-model.ts';
import type { PreparedInputs } from '../../../apps/scheduler/src/models/model-input.ts';
import type { ModelTokenizer } from '../../../apps/scheduler/src/models/model-tokenizer.ts';
import { preparePairs } from '../../../apps/scheduler/src/models/reranker-model.ts';
import { openModelTokenizer } from '../../../apps/scheduler/src/tokenize/model-tokenizer.ts';
import { makeTokenizerFolder } from '../../kit/tokenizer-folder.ts';
import { qwen3TokenizerFile } from '../tokenize/small-tokenizer.ts';

/** Qwen3's <|endoftext|>, the last token of every embedding. */
const endOfText = 151_643;
const cardInstruction = 'Given a web search query, retrieve relevant passages that answer the query';
const folder = makeTokenizerFolder();
const work = { signal: new AbortController().signal, keyId: 'key' };
let tokenizer: ModelTokenizer;

before(async () => {
  tokenizer = await openModelTokenizer(join(folder.path, 'tokenizer.json'));
});
after(async () => {
  await tokenizer.close();
  folder.remove();
});

const embed = (job: Partial<EmbedJob>, maxTokens = 100, others: Partial<EmbeddingPreparation> = {}) =>
  prepareEmbedding(
    {
      kind: 'embed',
      inputs: [],
      field: 'input',
      dimensions: null,
      query: null,
      truncation: null,
      addSpecialTokens: true,
      ...job,
    },
    { tokenizer, maxTokens, work, ...others },
  );
const score = (job: Partial<ScoreJob>, maxTokens = 200, others: { tokenizer?: null } = {}) =>
  preparePairs(
    {
      kind: 'score',
      queries: ['Which city?'],
      documents: [],
      field: 'documents',
      instruction: null,
      truncation: null,
      maxTokensPerQuery: null,
      maxTokensPerDocument: null,
      ...job,
    },
    { tokenizer, maxTokens, work, ...others },
  );

/** The ids of each input. */
const idsOf = ({ inputs }: PreparedInputs) =>
  inputs.map(({ input }) => {
    if (input.kind === 'parts') return input.parts.flatMap(part => [...part]);
    assert.equal(input.kind, 'ids');
    return Array.from((input as { ids: ArrayLike<number> }).ids);
  });
const textOf = (ids: readonly number[] = []) => tokenizer.decode(ids);
const refusal = (param: string, pattern: RegExp) => (error: unknown) =>
  error instanceof RequestError &&
  error.code === 'invalid_request' &&
  error.param === param &&
  pattern.test(error.message);

const texts = [
  'one two three four five six seven eight nine ten eleven twelve',
  '北京是中国的首都，也是一座历史悠久的城市。',
  '🙂🙃'.repeat(12),
  'a'.repeat(300),
  '{"json": [1, 2, {"deep": null}], "text": "…"}',
];

test('every input ends with the last token of the model, once', async () => {
  const [fromText = [], , fromIds, completed] = idsOf(
    await embed({ inputs: ['Explain gravity', 'x', [840, 20772, 23249], [840, 20772, 23249, endOfText]] }),
  );
  assert.deepEqual(fromText, [840, 20772, 23249, endOfText]);
  assert.deepEqual(fromIds, fromText);
  assert.deepEqual(completed, fromText);
});

test('an embedding ends with it also when the tokenizer’s file forgets it; a reranker’s prompt does not', async () => {
  const other = await openModelTokenizer(qwen3TokenizerFile(), { isEmbedding: true });
  const reranking = await openModelTokenizer(qwen3TokenizerFile());
  try {
    const [ids] = idsOf(await embed({ inputs: ['Explain gravity'] }, 100, { tokenizer: other }));
    assert.deepEqual(ids, [840, 20772, 23249, endOfText]);
    assert.equal(other.forgottenEnding, '<|endoftext|>');
    assert.deepEqual([...reranking.complete([1])], [1]);
    assert.deepEqual([tokenizer.forgottenEnding, reranking.forgottenEnding], [null, null]);
  } finally {
    await other.close();
    await reranking.close();
  }
});

test('add_special_tokens: false leaves it out', async () => {
  assert.deepEqual(idsOf(await embed({ inputs: ['Explain gravity', [840]], addSpecialTokens: false })), [
    [840, 20772, 23249],
    [840],
  ]);
});

test('a query is the instruction and the text, to the letter; the instruction is the model card’s by default', async () => {
  for (const [instruction, said] of [
    [null, cardInstruction],
    ['', cardInstruction],
    ...['Find code', 'Find!', ' ', 'e\n\n', "it's\r\n \t", '判断\u0301'].map(text => [text, text] as const),
  ] as const) {
    for (const text of ['Explain gravity', '', ' two', '\n\n', '\u0338x', "'s"]) {
      const [ids] = idsOf(await embed({ inputs: [text], query: { instruction } }));
      const [whole] = idsOf(await embed({ inputs: [`Instruct: ${said}\nQuery:${text}`] }));
      assert.deepEqual(ids, whole, JSON.stringify([instruction, text]));
    }
  }
});

test('an input that is too long is refused with its index, its tokens and the limit, in the caller’s words', async () => {
  const long = 'word '.repeat(60);
  await assert.rejects(
    embed({ inputs: ['short', long], field: 'texts' }, 50),
    refusal('texts[1]', /^texts\[1\] has 6[12] tokens; this model takes at most 50\./),
  );
  await assert.rejects(
    embed({ inputs: [Array(50).fill(840)] }, 50),
    refusal('input', /has 51 tokens; .* at most 50/),
  );
});

test('an input of exactly the limit is taken', async () => {
  const [ids = []] = idsOf(await embed({ inputs: [Array(49).fill(840)] }, 50));
  assert.equal(ids.length, 50);
});

for (const keep of ['start', 'end'] as const) {
  test(`truncation that keeps the ${keep} keeps instruction and last token, for any text and limit`, async () => {
    const [prefix = []] = idsOf(await embed({ inputs: ['Instruct: Do\nQuery:'], addSpecialTokens: false }));
    for (const text of texts) {
      const [whole = []] = idsOf(await embed({ inputs: [text], addSpecialTokens: false }, 1000));
      for (let limit = prefix.length + 2; limit <= prefix.length + whole.length + 2; limit += 3) {
        const { inputs, truncated } = await embed(
          { inputs: [text, [...whole]], query: null, truncation: { maxTokens: limit, keep } },
          1000,
        );
        for (const [index, ids] of idsOf({ inputs, truncated }).entries()) {
          const tokens = inputs[index]?.tokens;
          assert.equal(ids.at(-1), endOfText);
          assert.equal(tokens, Math.min(limit, whole.length + 1));
          const kept = ids.slice(0, -1);
          assert.deepEqual(kept, keep === 'start' ? whole.slice(0, kept.length) : whole.slice(-kept.length));
        }
        assert.deepEqual(truncated, whole.length + 1 > limit ? [0, 1] : []);
        const asked = await embed(
          { inputs: [text], query: { instruction: 'Do' }, truncation: { maxTokens: limit, keep } },
          1000,
        );
        const [query = []] = idsOf(asked);
        assert.ok(query.length <= limit);
        assert.equal(query.at(-1), endOfText);
        assert.match(await textOf(query), /^Instruct: Do\nQuery:/);
      }
    }
  });
}

test('truncation to the model’s length reads no more of a huge text than it can keep', async () => {
  const { inputs, truncated } = await embed(
    { inputs: ['word '.repeat(2_000_000)], truncation: { maxTokens: null, keep: 'start' } },
    64,
  );
  assert.deepEqual([inputs[0]?.tokens, truncated], [64, [0]]);
});

test('a limit that the instruction fills alone is refused', async () => {
  await assert.rejects(
    embed({
      inputs: ['word '.repeat(60)],
      query: { instruction: null },
      truncation: { maxTokens: 8, keep: 'start' },
    }),
    refusal('input', /nothing of it would be left/),
  );
});

test('ids outside of the vocabulary are refused by index', async () => {
  for (const wrong of [-1, 151_936, 2 ** 40])
    await assert.rejects(embed({ inputs: [[1], [wrong]] }), refusal('input[1]', /from 0 to 151935/));
});

test('a server with the only tokenizer cuts texts by its own fields, which keep the last token and the template', async () => {
  const keepStart = { maxTokens: null, keep: 'start' } as const;
  const cutOf = async (prepared: Promise<PreparedInputs>) =>
    (await prepared).inputs.map(({ input }) => ('cut' in input ? input.cut : undefined));
  const bare = { tokenizer: null };
  assert.deepEqual(await cutOf(embed({ inputs: ['a'] }, 100, bare)), [undefined]);
  assert.deepEqual(await cutOf(embed({ inputs: ['a'], truncation: keepStart }, 100, bare)), [
    { truncate_prompt_tokens: -1 },
  ]);
  const five = { maxTokens: 5, keep: 'start' } as const;
  assert.deepEqual(await cutOf(embed({ inputs: ['a'], truncation: five }, 100, bare)), [
    { truncate_prompt_tokens: 5 },
  ]);
  const pairs = { queries: ['Which city?'], documents: ['a'] };
  assert.deepEqual(
    await cutOf(score({ ...pairs, maxTokensPerDocument: 7, maxTokensPerQuery: 3 }, 1000, bare)),
    [{ max_tokens_per_doc: 7, max_tokens_per_query: 3 }],
  );
  const left = 1000 - 120 - 'Which city?'.length - cardInstruction.length;
  assert.deepEqual(await cutOf(score({ ...pairs, truncation: keepStart }, 1000, bare)), [
    { max_tokens_per_doc: left },
  ]);
  const keepEnd = { maxTokens: null, keep: 'end' } as const;
  for (const refused of [
    () => embed({ inputs: ['a'], truncation: keepEnd }, 100, bare),
    () => embed({ inputs: ['a'], addSpecialTokens: false }, 100, bare),
    () => embed({ inputs: ['a'], query: { instruction: null }, truncation: five }, 100, bare),
    () => score({ ...pairs, truncation: keepEnd }, 1000, bare),
    () => score({ ...pairs, truncation: keepStart }, 150, bare),
  ])
    await assert.rejects(refused, refusal(/score/.test(String(refused)) ? 'documents' : 'input', /./));
});

test('ids for a server with the only tokenizer get its ending; without knowing it they are refused', async () => {
  const bare = { tokenizer: null, endingOfServer: async () => [endOfText] };
  const asked = { inputs: [[1, 2], [1, 2, endOfText], 'text'] };
  const prepared = await embed(asked, 100, bare);
  assert.deepEqual(
    prepared.inputs.slice(0, 2).map(({ input }) => 'ids' in input && [...input.ids]),
    [
      [1, 2, endOfText],
      [1, 2, endOfText],
    ],
  );
  const cut = await embed({ inputs: [[1, 2, 3]], truncation: { maxTokens: 3, keep: 'end' } }, 100, bare);
  assert.deepEqual([idsOf(cut), cut.truncated], [[[2, 3, endOfText]], [0]]);
  await assert.rejects(embed({ inputs: [[1, 2, 3]] }, 3, bare), refusal('input', /has 4 tokens/));
  await assert.rejects(
    embed(asked, 100, { tokenizer: null, endingOfServer: async () => null }),
    refusal('input', /Sending token ids needs the model's tokenizer/),
  );
});

test('a pair that is too long is refused with its index; asked for, its document is cut and the template stays whole', async () => {
  const documents = ['short', ...texts.map(text => text.repeat(20))];
  await assert.rejects(
    score({ documents }),
    refusal('documents[1]', /^documents\[1\] has \d+ tokens; .* 200/),
  );
  const [template = []] = idsOf(await score({ documents: [''] }));
  const tail = template.slice(-9); // <|im_end|> … </think>\n\n
  for (const keep of ['start', 'end'] as const) {
    const cut = await score({ documents, truncation: { maxTokens: null, keep } });
    assert.deepEqual(cut.truncated, [1, 2, 3, 4, 5]);
    for (const ids of idsOf(cut).slice(1)) {
      assert.ok(ids.length <= 200 && ids.length > 185, `${ids.length} tokens`);
      assert.deepEqual(ids.slice(-9), tail);
      const text = await textOf(ids);
      assert.match(text, /<Query>: Which city\?\n<Document>: /);
      assert.match(text, /<\|im_end\|>\n<\|im_start\|>assistant\n<think>\n\n<\/think>\n\n$/);
      assert.doesNotMatch(text, /\ufffd/);
    }
  }
});

test('max_tokens_per_doc and _per_query cut texts before the template is filled', async () => {
  const { inputs, truncated } = await score({
    queries: ['one two three four'],
    documents: ['one two three four five', 'one'],
    maxTokensPerQuery: 2,
    maxTokensPerDocument: 3,
  });
  assert.deepEqual(truncated, [0, 1]);
  const [first = []] = idsOf({ inputs, truncated });
  assert.match(await textOf(first), /<Query>: one two\n<Document>: one two three<\|im_end\|>/);
});

test('a query that leaves no room for its document is refused', async () => {
  const [template = []] = idsOf(await score({ queries: [''], documents: [''] }));
  await assert.rejects(
    score({
      queries: ['a '.repeat(200 - template.length)],
      documents: ['a b c'],
      truncation: { maxTokens: null, keep: 'start' },
    }),
    refusal('documents', /nothing of it would be left/),
  );
});

test('an instruction or a query that is too long by itself is refused by its own name', async () => {
  const long = 'word '.repeat(300);
  const truncation = { maxTokens: null, keep: 'start' } as const;
  const tooLong = /takes 3\d\d tokens .* at most 200\. Shorten it/;
  for (const asked of [{}, { truncation }]) {
    await assert.rejects(score({ queries: [long], documents: ['a'], ...asked }), refusal('query', tooLong));
    await assert.rejects(
      score({ instruction: long, documents: ['a'], ...asked }),
      refusal('instruction', tooLong),
    );
    await assert.rejects(
      embed({ inputs: ['a'], query: { instruction: long }, ...asked }, 200),
      refusal('instruction', tooLong),
    );
  }
});

test('an instruction of megabytes is refused unread, not put in front of every input', async () => {
  const instruction = 'word '.repeat(2_000_000);
  const inputs = Array.from({ length: 2048 }, (_, index) => `text ${index}`);
  for (const refused of [
    () => embed({ inputs, query: { instruction } }),
    () => score({ instruction, queries: inputs, documents: inputs }),
  ]) {
    const before = process.cpuUsage();
    await assert.rejects(refused, refusal('instruction', /far too long/));
    assert.ok(process.cpuUsage(before).user < 300_000);
  }
});

test('pairs share the ids of their query, and a request has so many tokens and no more', async () => {
  const documents = Array.from({ length: 2048 }, (_, index) => `text ${index}`);
  const before = process.memoryUsage().arrayBuffers;
  const { inputs } = await score({ queries: ['word '.repeat(3000)], documents }, 32_768);
  assert.ok(process.memoryUsage().arrayBuffers - before < 10_000_000);
  const [first, second] = inputs.map(({ input }) => (input.kind === 'parts' ? input.parts : []));
  assert.equal(first?.[1], second?.[1]);
  await assert.rejects(
    score({ queries: ['word '.repeat(5000)], documents }, 32_768),
    refusal('documents', /tokens in all.* a request may have 8000000/),
  );
  await assert.rejects(
    embed({ inputs: documents, query: { instruction: 'word '.repeat(5000) } }, 32_768),
    refusal('input', /tokens in all/),
  );
});

for (const asked of [
  { truncation: { maxTokens: null, keep: 'end' as const } },
  { maxTokensPerDocument: 60 },
]) {
  test(`2,048 documents cut by ${Object.keys(asked)} leave the event loop its turns`, async () => {
    const documents = Array.from({ length: 2048 }, (_, index) => `${index} ${texts.join(' ').repeat(4)}`);
    let isDone = false;
    const longest = longestTurn(() => isDone);
    const { truncated } = await score({ documents, ...asked });
    isDone = true;
    assert.equal(truncated.length, documents.length);
    assert.ok((await longest) < 50, `held for ${await longest} ms`);
  });
}

/** Most CPU time of this thread between two turns of its event loop, in milliseconds. */
async function longestTurn(isDone: () => boolean): Promise<number> {
  let longest = 0;
  while (!isDone()) {
    const before = process.threadCpuUsage();
    await setImmediate();
    const { user, system } = process.threadCpuUsage(before);
    longest = Math.max(longest, (user + system) / 1000);
  }
  return longest;
}
