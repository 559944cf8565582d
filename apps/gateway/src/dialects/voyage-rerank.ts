import type { IncomingHttpHeaders } from 'node:http';
import type { ScoreJob } from '@er-gateway/shared/scheduler-protocol';
import { z } from 'zod';
import { jsonList, jsonWithList } from '../wire/json-parts.ts';
import { defineDialect } from './dialect.ts';
import { rerankErrors } from './error-shapes.ts';
import { checkCount, flag, integer, modelName, textField, textList } from './inputs.ts';
import { instructionFields, instructionOf } from './purpose.ts';
import { best, type Ranked } from './rerank-fields.ts';

/** Whether a request comes from Voyage's own client. */
export const isFromVoyage = (headers: IncomingHttpHeaders) =>
  /voyage/i.test(`${headers['user-agent'] ?? ''} ${headers['x-fern-sdk-name'] ?? ''}`);

/** Whether a request on a rerank path is Voyage's: by its fields, or because its own client says so. */
export const isVoyages = (body: Record<string, unknown>, headers: IncomingHttpHeaders) =>
  'top_k' in body || 'truncation' in body || isFromVoyage(headers);

/** Voyage's `POST /v1/rerank`: `top_k` for `top_n`, `data` for `results`, a document as a bare string. */
export const voyageRerank = defineDialect({
  name: 'voyage-rerank',
  summary: 'Rerank for clients of Voyage (by top_k)',
  role: 'reranker',
  schema: z.object({
    model: modelName,
    query: textField('query').min(1, 'query is empty'),
    documents: textList('documents'),
    top_k: integer('top_k', 1).nullish(),
    return_documents: flag('return_documents').nullish(),
    truncation: flag('truncation')
      .nullish()
      .meta({ description: 'Cut documents that are too long; true when absent, as Voyage says.' }),
    ...instructionFields,
  }),
  example: {
    query: 'What is AI?',
    documents: ['AI is artificial intelligence', 'AI helps humans'],
    top_k: 1,
  },
  answer: z.object({
    object: z.literal('list'),
    data: z.array(z.object({ index: z.int(), relevance_score: z.number(), document: z.string().optional() })),
    model: z.string(),
    usage: z.object({ total_tokens: z.int() }),
  }),
  modelOf: request => request.model ?? null,
  toJob: (request, { limits }): ScoreJob => {
    checkCount(request.documents.length, 'documents', limits.inputs_per_request);
    return {
      kind: 'score',
      queries: [request.query],
      documents: request.documents,
      field: 'documents',
      instruction: instructionOf(request),
      truncation: (request.truncation ?? true) ? { maxTokens: null, keep: 'start' } : null,
      maxTokensPerQuery: null,
      maxTokensPerDocument: null,
    };
  },
  countInputs: job => job.documents.length,
  toAnswer: (result, { documents, ...request }) => {
    const toItem = ({ index, score }: Ranked) => ({
      index,
      relevance_score: score,
      ...(request.return_documents && { document: documents[index] }),
    });
    return jsonWithList({ object: 'list' }, ['data', jsonList(best(result, request.top_k), toItem)], {
      model: result.model,
      usage: { total_tokens: result.promptTokens },
    });
  },
  errors: rerankErrors,
});
