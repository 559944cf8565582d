import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { dialectRoutes } from '../../../apps/gateway/src/dialects/table.ts';
import { type FakeModel, startFakeModel } from '../../kit/fake-model.ts';
import { type SmallSystem, startSmallSystem } from '../../kit/small-system.ts';
import { makeTokenizerFolder } from '../../kit/tokenizer-folder.ts';

/** Bodies that nobody should send, on every route: an answer comes, in time, and it is never a 5xx. */

const deadlineMs = 20_000;
const rounds = 60;
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
    env: {
      ER_MODELS_EMBEDDING_PATH: tokenizer.path,
      ER_MODELS_RERANKER_PATH: tokenizer.path,
      ER_GATEWAY_MAX_BODY_BYTES: '2000000',
    },
  });
});
after(async () => {
  await system?.stop();
  for (const model of models) await model.stop();
  tokenizer.remove();
});

/** A body that each route takes, to be broken. */
const goodBodies: Record<string, Record<string, unknown>> = {
  '/v1/embeddings': { input: ['a', 'b'], encoding_format: 'float', dimensions: 32 },
  '/v1/embed': { texts: ['a'], input_type: 'search_document' },
  '/v2/embed': { texts: ['a'], embedding_types: ['float', 'int8'] },
  '/embed': { inputs: ['a'], truncate: true },
  '/v1/rerank': { query: 'q', documents: ['a', { text: 'b' }], top_n: 1 },
  '/v2/rerank': { query: 'q', documents: ['a'] },
  '/rerank': { query: 'q', texts: ['a'] },
  '/score': { queries: ['q'], documents: ['a'] },
  '/v1/score': { text_1: 'q', text_2: 'a' },
  '/tokenize': { prompt: 'a' },
  '/detokenize': { tokens: [1, 2] },
};

/** mulberry32: the same bodies on every run. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const deep = (open: string, close: string, depth: number) => open.repeat(depth) + close.repeat(depth);

/** Values that break assumptions, as JSON text: some cannot be made by JSON.stringify. */
const hostileValues = [
  'null',
  'true',
  '0',
  '-0',
  '-1',
  '1.5',
  '1e400',
  '-1e400',
  '9007199254740993',
  '1e-400',
  '""',
  '[]',
  '{}',
  '[[]]',
  '[""]',
  '[null]',
  '[[null]]',
  '[{}]',
  '[1,"a"]',
  '[[1],"a"]',
  '[-1]',
  '[151935]',
  '[151936]',
  '[4294967296]',
  '"\\ud800"',
  '"\\udc00\\ud800"',
  '"\\u0000"',
  '"\\u202e\\ufeff"',
  `"${'e\\u0301'.repeat(2000)}"`,
  `"${'\\u0300'.repeat(20000)}"`,
  `"${'🙂'.repeat(3000)}"`,
  `"${' '.repeat(100_000)}"`,
  `"${'a'.repeat(200_000)}"`,
  '"<|im_end|>\\n<|im_start|>system"',
  '"<|endoftext|>"',
  '{"text":"a"}',
  '{"text":null}',
  '{"text":["a"]}',
  '{"__proto__":{"text":"a"}}',
  '{"constructor":{"prototype":{"polluted":1}}}',
  deep('[', ']', 10_000),
  `${deep('{"a":', '}', 5000).replace(/\{"a":\}/, '{"a":1}')}`,
  `[${'"a",'.repeat(5000)}"a"]`,
  `[${'1,'.repeat(5000)}1]`,
  `[${'[1],'.repeat(3000)}[1]]`,
  '"true"',
  '"NaN"',
  '"../../etc/passwd"',
  '"\'; DROP TABLE keys; --"',
]; // prettier-ignore

/** Whole bodies that are no JSON, or not what they seem. */
const hostileBodies: (string | Buffer)[] = [
  '',
  ' ',
  '{',
  '}',
  '[]',
  '[1]',
  '"a"',
  '1',
  'null',
  'true',
  '{"a"',
  '{"input":}',
  "{'input':'a'}",
  '{"input":"a",}',
  '{"input":"a"}{"input":"b"}',
  '\ufeff{"input":"a"}',
  '{"input":"a","input":["b"],"input":7}',
  '{"":""}',
  'NaN',
  '{"input":"\\x"}',
  '{"input":"\u0001"}',
  deep('[', ']', 100_000),
  deep('[', '', 100_000),
  '{"a":'.repeat(50_000),
  Buffer.from([0xff, 0xfe, 0x7b, 0x00]),
  Buffer.from('7b22696e707574223a22c3286122', 'hex'),
  Buffer.alloc(5000),
  `{"input":"${'x'.repeat(2_100_000)}"}`,
];

interface Outcome {
  status: number;
  text: string;
}
async function send(
  path: string,
  body: string | Buffer,
  headers: Record<string, string> = {},
): Promise<Outcome> {
  const answer = await system.fetch(path, {
    method: 'POST',
    body: typeof body === 'string' ? body : new Uint8Array(body),
    headers: { 'content-type': 'application/json', ...headers },
    signal: AbortSignal.timeout(deadlineMs),
  });
  return { status: answer.status, text: await answer.text() };
}

function check({ status, text }: Outcome, what: string): void {
  assert.ok(status < 500, `${what.slice(0, 300)} was answered with ${status}: ${text.slice(0, 300)}`);
  if (status === 200) return;
  const message = JSON.stringify(JSON.parse(text));
  assert.ok(message.length > 20 && message.length < 2000, `an error of ${message.length} characters`);
  assert.doesNotMatch(message, /node_modules|\bat .*:\d+:\d+|DROP TABLE|etc\/passwd/);
}

/** The body with one of its fields replaced by JSON text, or another field beside them. */
function broken(body: Record<string, unknown>, random: () => number): string {
  const names = [
    ...Object.keys(body),
    'model',
    'instruction',
    'top_n',
    'dimensions',
    'truncate',
    'x',
    '__proto__',
  ];
  const pick = <Item>(items: readonly Item[]) => items[Math.floor(random() * items.length)] as Item;
  const fields = new Map(Object.entries(body).map(([name, value]) => [name, JSON.stringify(value)]));
  for (let count = random() < 0.7 ? 1 : 3; count > 0; count--) fields.set(pick(names), pick(hostileValues));
  const texts = [...fields].map(([name, value]) => `${JSON.stringify(name)}:${value}`);
  if (random() < 0.1) texts.push(texts[0] ?? '');
  const text = `{${texts.join(',')}}`;
  return random() < 0.1 ? text.slice(0, Math.floor(random() * text.length)) : text;
}

test('every route has a body here', () => {
  assert.deepEqual(Object.keys(goodBodies).sort(), dialectRoutes.map(({ path }) => path).sort());
});

for (const [path, body] of Object.entries(goodBodies)) {
  test(`${path}: the body that is to be broken is good`, async () => {
    const outcome = await send(path, JSON.stringify(body));
    assert.equal(outcome.status, 200, outcome.text);
  });

  test(`${path}: every hostile value in every field gets an answer, and no 5xx`, {
    timeout: 300_000,
  }, async () => {
    for (const name of Object.keys(body)) {
      for (const value of hostileValues) {
        const rest = Object.entries(body).filter(([other]) => other !== name);
        const texts = [...rest.map(([other, kept]) => `${JSON.stringify(other)}:${JSON.stringify(kept)}`)];
        const text = `{${[...texts, `${JSON.stringify(name)}:${value}`].join(',')}}`;
        check(await send(path, text), `${path} ${name}=${value}`);
      }
    }
  });

  test(`${path}: ${rounds} bodies broken by chance get an answer, and no 5xx`, {
    timeout: 300_000,
  }, async () => {
    const random = randomNumbers(path.length * 7919);
    for (let round = 0; round < rounds; round++) {
      const text = broken(body, random);
      check(await send(path, text), `${path} ${text}`);
    }
  });

  test(`${path}: bodies that are no JSON object get an answer, and no 5xx`, async () => {
    for (const text of hostileBodies) check(await send(path, text), `${path} ${String(text).slice(0, 100)}`);
  });
}

test('headers that nobody should send get an answer, and no 5xx', async () => {
  for (const [name, value] of [
    ['accept-encoding', `${'a;q=2,'.repeat(500)}gzip;q=x`],
    ['content-type', 'application/json; charset="utf-8'],
    ['content-encoding', 'gzip, gzip'],
    ['x-request-id', 'x'.repeat(5000)],
    ['x-er-timeout-ms', '1e9'],
    ['x-er-priority', 'first'],
    ['cache-control', ',,;;no-store'],
    ['user-agent', 'Voyage'.repeat(500)],
  ] as const) {
    check(await send('/v1/embeddings', '{"input":"a"}', { [name]: value }), `${name}: ${value}`);
  }
});

test('after all of it the system answers as before, and no process has ended', async () => {
  const outcome = await send('/v1/embeddings', '{"input":"still here"}');
  assert.equal(outcome.status, 200);
  for (const app of ['gateway', 'scheduler', 'state'] as const)
    assert.doesNotMatch(system.output(app), /uncaught|unhandled|heap out of memory/i);
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
});
