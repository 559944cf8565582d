import type { ScoreJob, ScoreResult } from '@er-gateway/shared/scheduler-protocol';
import { z } from 'zod';
import { defineDialect } from './dialect.ts';
import { checkCount, modelName } from './inputs.ts';

const documentsError = 'documents must be a list of strings or of {"text": string}';
const documents = z.array(z.union([z.string(), z.object({ text: z.string() })], { error: documentsError }), {
  error: documentsError,
});

const common = z.object({
  model: modelName,
  query: z.string('query must be a string').min(1, 'query is empty'),
  documents,
  top_n: z.int('top_n must be an integer').min(0, 'top_n must not be negative').nullish(),
  instruction: z.string('instruction must be a string').nullish(),
});

const withDocuments = common.extend({
  return_documents: z.boolean('return_documents must be true or false').nullish(),
});

type RerankRequest = z.infer<typeof common>;

const toJob = (request: RerankRequest, { limits }: { limits: { inputs_per_request: number } }): ScoreJob => {
  checkCount(request.documents.length, 'documents', limits.inputs_per_request);
  return {
    kind: 'score',
    queries: [request.query],
    documents: request.documents.map(textOf),
    instruction: request.instruction ?? null,
  };
};

/**
 * `POST /v1/rerank` and `/rerank` for clients of vLLM, Jina and Cohere v1. vLLM and Jina return the documents unless told
 * otherwise, Cohere v1 does not; we do, since a client that does not look for them is not disturbed.
 */
export const rerankV1 = defineDialect({
  name: 'rerank',
  role: 'reranker',
  schema: withDocuments,
  modelOf: request => request.model ?? null,
  toJob,
  countInputs: job => job.documents.length,
  toAnswer: (result, request, { requestId }) => {
    const isReturning = request.return_documents ?? true;
    return JSON.stringify({
      id: requestId,
      model: result.model,
      results: best(result, request.top_n).map(({ index, score }) => ({
        index,
        relevance_score: score,
        ...(isReturning && { document: { text: textOf(request.documents[index] ?? '') } }),
      })),
      usage: { prompt_tokens: result.promptTokens, total_tokens: result.promptTokens },
      meta: {
        api_version: { version: '1' },
        billed_units: { search_units: searchUnits(request.documents.length) },
      },
    });
  },
});

/** Cohere's `POST /v2/rerank`: never returns the documents. */
export const cohereRerankV2 = defineDialect({
  name: 'cohere-v2',
  role: 'reranker',
  schema: common,
  modelOf: request => request.model ?? null,
  toJob,
  countInputs: job => job.documents.length,
  toAnswer: (result, request, { requestId }) =>
    JSON.stringify({
      id: requestId,
      results: best(result, request.top_n).map(({ index, score }) => ({ index, relevance_score: score })),
      meta: {
        api_version: { version: '2' },
        billed_units: { search_units: searchUnits(request.documents.length) },
        tokens: { input_tokens: result.promptTokens },
      },
    }),
  toErrorBody: (error, requestId) => ({ id: requestId, message: error.message }),
});

/** The scores from best to worst, equal ones in the order of their documents; 0 or nothing asks for all. */
function best(result: ScoreResult, topN: number | null | undefined): { index: number; score: number }[] {
  const ranked = result.scores.map((score, index) => ({ index, score })).sort((a, b) => b.score - a.score);
  return topN ? ranked.slice(0, topN) : ranked;
}

const textOf = (document: string | { text: string }) =>
  typeof document === 'string' ? document : document.text;

/** Cohere bills a search for up to 100 documents (docs.cohere.com, pricing). */
const searchUnits = (documentCount: number) => Math.ceil(documentCount / 100);
