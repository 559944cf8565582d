import { z } from 'zod';
import { jsonAnswer, type Route } from '../http/route.ts';
import { modelFacts } from '../model/model-facts.ts';
import type { EngineContext } from './engine-context.ts';
import { commonFields, pairLimits, parseRequestBody, textsField } from './request-body.ts';
import { scorePairs } from './score-pairs.ts';
import { sumOf } from './usage.ts';

const bodySchema = z.object({
  ...commonFields,
  ...pairLimits,
  query: z.string(),
  documents: textsField,
  /** 0, or more than there are: all. */
  top_n: z.int().min(0).default(0),
});

/** POST /rerank and its aliases: the documents, most relevant first; equals stay in the order of the request. */
export function createRerankRoute({ servedName, embedder }: EngineContext): Route {
  return {
    method: 'POST',
    paths: ['/rerank', '/v1/rerank', '/v2/rerank'],
    answer: async ({ body, requestId, signal }) => {
      const { query, documents, top_n: topN, ...limits } = parseRequestBody(bodySchema, body, servedName);
      const pairs = { queries: [query], documents, limits };
      const { scores, tokens } = await scorePairs(pairs, embedder, signal);
      const results = scores
        .map((score, index) => ({
          index,
          document: { text: documents[index] ?? '', multi_modal: null },
          relevance_score: score,
        }))
        .sort((a, b) => b.relevance_score - a.relevance_score)
        .slice(0, topN === 0 ? undefined : topN);
      return jsonAnswer({
        id: `score-${requestId}`,
        model: modelFacts.name,
        usage: { prompt_tokens: sumOf(tokens), total_tokens: sumOf(tokens) },
        results,
      });
    },
  };
}
