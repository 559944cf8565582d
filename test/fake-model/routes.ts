import { randomBytes } from 'node:crypto';
import { type Answer, type AnswerHead, toJson, toList, toVectorAnswer } from './answers.ts';
import { ApiError, badRequest } from './api-error.ts';
import { cosine, hiddenSize, loadPairTemplate, logitOf, pairIds, scoreOf, vectorOf } from './model.ts';
import type { FakeModelOptions, FakeRole } from './options.ts';
import {
  type Body,
  type Pair,
  parseDimensions,
  parseEncoding,
  parseInputs,
  parseInstruction,
  parseRerankPairs,
  parseScorePairs,
  tooLong,
} from './requests.ts';
import { detokenize, endOfTextId, tokenize } from './tokenizer.ts';

/** What a route gets besides the body. */
export interface Call {
  requestId: string | undefined;
  /** Takes the time that these inputs cost and counts them. Throws ApiError when the queue is full. */
  run: (tokenCounts: number[]) => Promise<void>;
  /** Set by the fault `nan`: spoils what was computed. */
  isNan: boolean;
  /** Set by the fault `wrong-count`: the last item is missing. */
  isShort: boolean;
  /** Set by the fault `wrong-dimension`: each vector lacks its last number. */
  isCut: boolean;
}

type Route = (body: Body, call: Call) => Promise<Answer>;

/** The POST routes of a server of this role, by path. Those of the other role do not exist, as in vLLM. */
export function createRoutes(options: FakeModelOptions): Map<string, Route> {
  const pooling = options.role === 'embedding' ? embed(options, 'pooling') : classify(options, 'pooling');
  const routes: [FakeRole | 'both', string[], Route][] = [
    ['embedding', ['/v1/embeddings'], embed(options, 'embedding')],
    ['reranker', ['/classify'], classify(options, 'classify')],
    ['both', ['/pooling'], pooling],
    ['both', ['/score', '/v1/score'], score(options)],
    ['both', ['/rerank', '/v1/rerank', '/v2/rerank'], rerank(options)],
    ['both', ['/tokenize'], tokenizePrompt(options)],
    ['both', ['/detokenize'], detokenizeTokens(options)],
  ];
  return new Map(
    routes
      .filter(([role]) => role === 'both' || role === options.role)
      .flatMap(([, paths, route]) => paths.map(path => [path, route] as const)),
  );
}

function embed(options: FakeModelOptions, object: 'embedding' | 'pooling'): Route {
  return async (body, call) => {
    checkModel(body, options);
    const inputs = parseInputs(body, { endOfText: true, maxModelLen: options.maxModelLen });
    const encoding = parseEncoding(body);
    const model = { name: options.servedName, matryoshka: options.matryoshka, size: hiddenSize };
    const dimensions = parseDimensions(body, model) ?? hiddenSize;
    await call.run(inputs.map(ids => ids.length));
    const vectors = withFaults(
      inputs.map(ids => vectorOf(ids, dimensions)),
      call,
      vector => vector.with(0, Number.NaN),
    );
    const head = headOf(object === 'embedding' ? 'embd' : 'pooling', inputs, call, options);
    const field = object === 'embedding' ? 'embedding' : 'data';
    return toVectorAnswer(head, vectors, { encoding, object, field, floatText: options.floatText });
  };
}

/** Scores by text or token ids, without a template. */
function classify(options: FakeModelOptions, object: 'classify' | 'pooling'): Route {
  return async (body, call) => {
    checkModel(body, options);
    const inputs = parseInputs(body, { endOfText: false, maxModelLen: options.maxModelLen });
    const encoding = parseEncoding(body);
    await call.run(inputs.map(ids => ids.length));
    const scores = withFaults(
      inputs.map(ids => toScore(ids, body)),
      call,
      () => Number.NaN,
    );
    const head = headOf(object, inputs, call, options);
    if (object === 'classify') {
      const items = scores.map((score, index) => ({
        index,
        label: 'LABEL_0',
        probs: [score],
        num_classes: 1,
      }));
      return toJson(toList(head, items));
    }
    const vectors = scores.map(score => Float32Array.of(score));
    return toVectorAnswer(head, vectors, { encoding, object, field: 'data', floatText: options.floatText });
  };
}

function score(options: FakeModelOptions): Route {
  const scorePairs = createPairScorer(options);
  return async (body, call) => {
    checkModel(body, options);
    const { scores, inputs } = await scorePairs(parseScorePairs(body), body, call);
    const head = headOf('score', inputs, call, options);
    return toJson(
      toList(
        head,
        scores.map((score, index) => ({ index, object: 'score', score })),
      ),
    );
  };
}

function rerank(options: FakeModelOptions): Route {
  const scorePairs = createPairScorer(options);
  return async (body, call) => {
    checkModel(body, options);
    const { pairs, topN } = parseRerankPairs(body);
    const { scores, inputs } = await scorePairs(pairs, body, call);
    const { id, model, promptTokens } = headOf('score', inputs, call, options);
    const results = scores
      .map((score, index) => ({
        index,
        document: { text: pairs[index]?.document, multi_modal: null },
        relevance_score: score,
      }))
      .sort((a, b) => b.relevance_score - a.relevance_score)
      .slice(0, topN);
    return toJson({ id, model, usage: { prompt_tokens: promptTokens, total_tokens: promptTokens }, results });
  };
}

/** Scores of pairs: through the template on a reranker, as cosines on an embedding server. */
function createPairScorer(options: FakeModelOptions) {
  const template = loadPairTemplate(options.chatTemplate);
  return async (pairs: Pair[], body: Body, call: Call) => {
    const isReranker = options.role === 'reranker';
    const instruction = parseInstruction(body);
    const inputs = pairs.map(({ query, document }) =>
      isReranker
        ? pairIds(template, query, document, instruction)
        : [...tokenize(query), endOfTextId, ...tokenize(document), endOfTextId],
    );
    for (const ids of inputs) {
      const limit = options.maxModelLen;
      if (ids.length > limit) throw tooLong(limit, `at least ${limit + 1}`, limit + 1);
    }
    await call.run(inputs.map(ids => ids.length));
    const scores = isReranker
      ? inputs.map(ids => toScore(ids, body))
      : pairs.map(({ query, document }) =>
          cosine(vectorOf([...tokenize(query), endOfTextId]), vectorOf([...tokenize(document), endOfTextId])),
        );
    return { scores: withFaults(scores, call, () => Number.NaN), inputs };
  };
}

function tokenizePrompt(options: FakeModelOptions): Route {
  return async body => {
    checkModel(body, options, ` Valid aliases: ${options.servedName}.`);
    if (typeof body.prompt !== 'string') throw badRequest('prompt must be a string');
    const isEnded = options.role === 'embedding' && body.add_special_tokens !== false;
    const tokens = [...tokenize(body.prompt), ...(isEnded ? [endOfTextId] : [])];
    return toJson({ count: tokens.length, max_model_len: options.maxModelLen, tokens, token_strs: null });
  };
}

function detokenizeTokens(options: FakeModelOptions): Route {
  return async body => {
    checkModel(body, options, ` Valid aliases: ${options.servedName}.`);
    if (!Array.isArray(body.tokens)) throw badRequest('tokens must be a list');
    return toJson({ prompt: detokenize(body.tokens as number[]) });
  };
}

const toScore = (ids: number[], body: Body) =>
  body.use_activation === false ? logitOf(ids) : scoreOf(logitOf(ids));

function withFaults<T>(items: T[], call: Call, spoil: (item: T) => T): T[] {
  const cut = call.isCut
    ? items.map(item => (item instanceof Float32Array ? (item.slice(0, -1) as T) : item))
    : items;
  const spoiled = call.isNan ? cut.map(spoil) : cut;
  return call.isShort ? spoiled.slice(0, -1) : spoiled;
}

function headOf(prefix: string, inputs: number[][], call: Call, options: FakeModelOptions): AnswerHead {
  return {
    id: `${prefix}-${call.requestId ?? randomBytes(8).toString('hex')}`,
    model: options.servedName,
    promptTokens: inputs.reduce((sum, ids) => sum + ids.length, 0),
  };
}

function checkModel(body: Body, options: FakeModelOptions, hint = ''): void {
  const { model } = body;
  if (model === undefined || model === null || model === '' || model === options.servedName) return;
  throw new ApiError(
    404,
    'NotFoundError',
    `The model \`${model}\` does not exist.${hint}`,
    hint ? 'model' : null,
  );
}
