import { z } from 'zod';
import { InvalidBodyError } from '../engine-error.ts';
import { jsonAnswer, type Route } from '../http/route.ts';
import { modelFacts } from '../model/model-facts.ts';
import type { EngineContext } from './engine-context.ts';
import { commonFields, pairLimits, parseRequestBody, textsField } from './request-body.ts';
import { scorePairs } from './score-pairs.ts';
import { createdNow, sumOf, usageOf } from './usage.ts';

/** vLLM's four names for the two sides. */
const bodySchema = z
  .object({
    ...commonFields,
    ...pairLimits,
    queries: textsField.optional(),
    text_1: textsField.optional(),
    data_1: textsField.optional(),
    documents: textsField.optional(),
    items: textsField.optional(),
    text_2: textsField.optional(),
    data_2: textsField.optional(),
  })
  .transform(({ model, queries, text_1, data_1, documents, items, text_2, data_2, ...limits }) => ({
    model,
    queries: queries ?? text_1 ?? data_1,
    documents: documents ?? items ?? text_2 ?? data_2,
    limits,
  }));

/** POST /score and its alias: one score for each pair, in their order, with its own tokens (see embeddings.ts). */
export function createScoreRoute({ servedName, embedder }: EngineContext): Route {
  return {
    method: 'POST',
    paths: ['/score', '/v1/score'],
    answer: async ({ body, requestId, signal }) => {
      const { queries, documents, limits } = parseRequestBody(bodySchema, body, servedName);
      if (queries === undefined) throw new InvalidBodyError(['body.queries: Field required'], 'body.queries');
      if (documents === undefined)
        throw new InvalidBodyError(['body.documents: Field required'], 'body.documents');
      const { scores, tokens } = await scorePairs({ queries, documents, limits }, embedder, signal);
      return jsonAnswer({
        id: `score-${requestId}`,
        object: 'list',
        created: createdNow(),
        model: modelFacts.name,
        data: scores.map((score, index) => ({ index, object: 'score', score, prompt_tokens: tokens[index] })),
        usage: usageOf(sumOf(tokens)),
      });
    },
  };
}
