import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { ScoreJob, ScoreResult } from '@er-gateway/shared/scheduler-protocol';
import { z } from 'zod';
import { jsonList, jsonWithList } from '../wire/json-parts.ts';
import { type DialectContext, defineDialect } from './dialect.ts';
import { cohereErrors, rerankErrors } from './error-shapes.ts';
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
import { firstWrong, type ItemCheck, isText, listOf, lookedOver } from './lists.ts';
import { best, scoringFields, scoringOf } from './rerank-fields.ts';

/** Documents that come back are printed by JSON.stringify, which calls itself for each level. */
const mostLevels = 64;

/** One document, as one of the dialects here takes it. */
type Document = string | Record<string, unknown>;

const isDocument: ItemCheck = item => {
  if (typeof item === 'string') return null;
  if (typeof item !== 'object' || item === null || Array.isArray(item))
    return `must be a string or ${object}`;
  return isWithin(item, mostLevels) ? null : `is nested deeper than ${mostLevels} levels`;
};
const object = '{"text": string}';

/** Whether a value has at most so many levels of lists and objects. */
const isWithin = (value: unknown, levels: number): boolean =>
  typeof value !== 'object' ||
  value === null ||
  (levels > 0 && Object.values(value).every(inner => isWithin(inner, levels - 1)));

/** A list of documents, or one without a list around it, as vLLM takes it. */
const documentsField = (document: object) => {
  const what = `a list of strings or of ${object}`;
  return lookedOver<string | Document[]>(
    value =>
      typeof value === 'string' ? null : firstWrong(value, { name: 'documents', what, check: isDocument }),
    { anyOf: [{ type: 'string' }, { type: 'array', items: document, minItems: 1 }] },
  );
};
const withText = { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] };

const common = z.object({
  model: modelName,
  query: textField('query').min(1, 'query is empty'),
  documents: documentsField({ anyOf: [{ type: 'string' }, withText] }),
  return_documents: flag('return_documents').nullish(),
  top_n: integer('top_n', 0).nullish().meta({ description: '0 or absent: all.' }),
  priority: priorityField,
  ...scoringFields,
  ...vllmTruncationFields,
});

const v1Schema = common.extend({
  // With rank_fields a document is any object; its fields are checked when they are read.
  documents: documentsField({ anyOf: [{ type: 'string' }, withText, { type: 'object' }] }),
  rank_fields: listOf<string>('rank_fields', {
    what: 'a list of field names',
    check: isText,
    items: { type: 'string' },
    max: 32,
  })
    .refine(names => new Set(names).size === names.length, 'rank_fields names a field twice')
    .nullish()
    .meta({
      uniqueItems: true,
      description: 'Cohere v1: fields of each document that are read, in this order; "text" when absent.',
    }),
});

type RerankRequest = z.infer<typeof common> & {
  rank_fields?: string[] | null | undefined;
};

function toJob(request: RerankRequest, { limits }: DialectContext): ScoreJob {
  const given = asList(request.documents);
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

const results = z.array(
  z.object({
    index: z.int(),
    relevance_score: z.number(),
    document: z.record(z.string(), z.unknown()).optional(),
  }),
);

/**
 * `POST /v1/rerank` and `/rerank` for clients of vLLM, Jina and Cohere v1. vLLM and Jina return the documents unless told
 * otherwise, Cohere v1 does not; we do, since a client that does not look for them is not disturbed.
 */
export const rerankV1 = defineDialect({
  name: 'rerank',
  summary: 'Rerank for clients of vLLM, Jina and Cohere version 1',
  role: 'reranker',
  schema: v1Schema,
  example: {
    query: 'What is AI?',
    documents: ['AI is artificial intelligence', { text: 'AI helps humans' }],
  },
  answer: z.object({
    id: z.string(),
    model: z.string(),
    results,
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
  toAnswer: (result, request, { requestId }) =>
    jsonWithList(
      { id: requestId, model: result.model },
      ['results', resultsOf(result, request, request.return_documents ?? true)],
      {
        usage: { prompt_tokens: result.promptTokens, total_tokens: result.promptTokens },
        meta: { api_version: { version: '1' }, billed_units: billedUnits(request) },
      },
    ),
  errors: rerankErrors,
});

/** Cohere's `POST /v2/rerank`: returns the documents only when asked to, as clients of version 1 (LiteLLM) do. */
export const cohereRerankV2 = defineDialect({
  name: 'cohere-v2',
  summary: 'Rerank for clients of Cohere, version 2',
  role: 'reranker',
  schema: common,
  example: {
    query: 'What is AI?',
    documents: ['AI is artificial intelligence', 'AI helps humans'],
    top_n: 1,
  },
  answer: z.object({
    id: z.string(),
    results,
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
    jsonWithList(
      { id: requestId },
      ['results', resultsOf(result, request, request.return_documents ?? false)],
      {
        meta: {
          api_version: { version: '2' },
          billed_units: billedUnits(request),
          tokens: { input_tokens: result.promptTokens },
        },
      },
    ),
  errors: cohereErrors,
});

/** vLLM takes one document without a list around it. */
const asList = (given: string | Document[]): Document[] => (typeof given === 'string' ? [given] : given);

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

/** The results, the best first. */
function resultsOf(result: ScoreResult, request: RerankRequest, isReturning: boolean): Iterable<string> {
  const given = asList(request.documents);
  return jsonList(best(result, request.top_n), ({ index, score }) => ({
    index,
    relevance_score: score,
    ...(isReturning && { document: asObject(given[index] ?? '') }),
  }));
}

/** Cohere bills a search for up to 100 documents (docs.cohere.com, pricing). */
const billedUnits = ({ documents }: RerankRequest) => ({
  search_units: Math.ceil(asList(documents).length / 100),
});
