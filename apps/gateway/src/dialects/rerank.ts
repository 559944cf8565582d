import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { ScoreJob } from '@er-gateway/shared/scheduler-protocol';
import { z } from 'zod';
import { type DialectContext, defineDialect } from './dialect.ts';
import { cohereErrors } from './error-shapes.ts';
import {
  checkCount,
  flag,
  integer,
  modelName,
  priorityField,
  textField,
  vllmTruncation,
  vllmTruncationFields,
} from './inputs.ts';
import { best, scoringFields, scoringOf } from './rerank-fields.ts';

const documentsError = 'documents must be a list of strings or of {"text": string}';
const documents = z.union(
  [
    z.string(),
    z
      .array(z.union([z.string(), z.object({ text: z.string() }).loose()], { error: documentsError }), {
        error: documentsError,
      })
      .meta({ minItems: 1 }),
  ],
  { error: documentsError },
);

/** With `rank_fields` a document is any object; its fields are checked when they are read. */
const objects = z.array(z.union([z.string(), z.record(z.string(), z.unknown())]));

const common = z.object({
  model: modelName,
  query: textField('query').min(1, 'query is empty'),
  documents,
  top_n: integer('top_n', 0).nullish().meta({ description: '0 or absent: all.' }),
  priority: priorityField,
  ...scoringFields,
  ...vllmTruncationFields,
});

const v1Schema = common.extend({
  documents: z.union([documents, objects], { error: documentsError }),
  return_documents: flag('return_documents').nullish(),
  rank_fields: z.array(z.string(), { error: 'rank_fields must be a list of field names' }).nullish().meta({
    description: 'Cohere v1: fields of each document that are read, in this order; "text" when absent.',
  }),
});

/** One document, as one of the dialects here takes it. */
type Document = string | Record<string, unknown>;
type RerankRequest = Omit<z.infer<typeof common>, 'documents'> & {
  documents: string | Document[];
  rank_fields?: string[] | null | undefined;
};

function toJob(request: RerankRequest, { limits }: DialectContext): ScoreJob {
  const given = listOf(request.documents);
  checkCount(given.length, 'documents', limits.inputs_per_request);
  return {
    kind: 'score',
    queries: [request.query],
    documents: given.map((document, index) => textOf(document, request.rank_fields, index)),
    field: 'documents',
    truncation: vllmTruncation(request),
    ...scoringOf(request),
  };
}

/**
 * `POST /v1/rerank` and `/rerank` for clients of vLLM, Jina and Cohere v1. vLLM and Jina return the documents unless told
 * otherwise, Cohere v1 does not; we do, since a client that does not look for them is not disturbed.
 */
export const rerankV1 = defineDialect({
  name: 'rerank',
  summary: 'Rerank for clients of vLLM, Jina and Cohere version 1',
  role: 'reranker',
  schema: v1Schema,
  answer: z.object({
    id: z.string(),
    model: z.string(),
    results: z.array(
      z.object({
        index: z.int(),
        relevance_score: z.number(),
        document: z.record(z.string(), z.unknown()).optional(),
      }),
    ),
    usage: z.object({ prompt_tokens: z.int(), total_tokens: z.int() }),
    meta: z.object({
      api_version: z.object({ version: z.literal('1') }),
      billed_units: z.object({ search_units: z.int() }),
    }),
  }),
  modelOf: request => request.model ?? null,
  toJob,
  countInputs: job => job.documents.length,
  isBulk: request => (request.priority ?? 0) > 0,
  toAnswer: (result, request, { requestId }) => {
    const given = listOf(request.documents);
    const isReturning = request.return_documents ?? true;
    return JSON.stringify({
      id: requestId,
      model: result.model,
      results: best(result, request.top_n).map(({ index, score }) => ({
        index,
        relevance_score: score,
        ...(isReturning && { document: asObject(given[index] ?? '') }),
      })),
      usage: { prompt_tokens: result.promptTokens, total_tokens: result.promptTokens },
      meta: {
        api_version: { version: '1' },
        billed_units: { search_units: searchUnits(given.length) },
      },
    });
  },
});

/** Cohere's `POST /v2/rerank`: never returns the documents. */
export const cohereRerankV2 = defineDialect({
  name: 'cohere-v2',
  summary: 'Rerank for clients of Cohere, version 2',
  role: 'reranker',
  schema: common,
  answer: z.object({
    id: z.string(),
    results: z.array(z.object({ index: z.int(), relevance_score: z.number() })),
    meta: z.object({
      api_version: z.object({ version: z.literal('2') }),
      billed_units: z.object({ search_units: z.int() }),
      tokens: z.object({ input_tokens: z.int() }),
    }),
  }),
  modelOf: request => request.model ?? null,
  toJob,
  countInputs: job => job.documents.length,
  isBulk: request => (request.priority ?? 0) > 0,
  toAnswer: (result, request, { requestId }) =>
    JSON.stringify({
      id: requestId,
      results: best(result, request.top_n).map(({ index, score }) => ({ index, relevance_score: score })),
      meta: {
        api_version: { version: '2' },
        billed_units: { search_units: searchUnits(listOf(request.documents).length) },
        tokens: { input_tokens: result.promptTokens },
      },
    }),
  errors: cohereErrors,
});

/** vLLM takes one document without a list around it. */
const listOf = (given: string | Document[]): Document[] => (typeof given === 'string' ? [given] : given);

const asObject = (document: Document) => (typeof document === 'string' ? { text: document } : document);

/** What the model reads of a document: itself, its `text`, or the fields that were asked for, a line each. */
function textOf(document: Document, rankFields: readonly string[] | null | undefined, index: number): string {
  if (typeof document === 'string') return document;
  const fields = rankFields?.length ? rankFields : ['text'];
  const values = fields.map(field => {
    const value = Object.hasOwn(document, field) ? document[field] : undefined;
    if (typeof value === 'string') return value;
    throw new RequestError(
      'invalid_request',
      `documents[${index}] has no text in the field that is to be ranked by${rankFields?.length ? ' (rank_fields)' : ': "text"'}.`,
      { param: `documents[${index}]` },
    );
  });
  return values.join('\n');
}

/** Cohere bills a search for up to 100 documents (docs.cohere.com, pricing). */
const searchUnits = (documentCount: number) => Math.ceil(documentCount / 100);
