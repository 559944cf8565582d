import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { EmbedJob, EmbedResult } from '@er-gateway/shared/scheduler-protocol';
import { z } from 'zod';
import type { BodyPart } from '../wire/body-writer.ts';
import { integerTypes, quantize } from '../wire/integer-types.ts';
import { jsonList } from '../wire/json-parts.ts';
import { floatsAsJson, floatsOf, numbersToJson, vectorsOf, vectorToBase64 } from '../wire/vectors-text.ts';
import { type DialectContext, defineDialect } from './dialect.ts';
import { cohereErrors } from './error-shapes.ts';
import { checkTexts, dimensionsField, integer, modelName, priorityField, textList } from './inputs.ts';
import { type ItemCheck, listOf } from './lists.ts';
import { instructionFields, instructionOf, purposeField, queryOf } from './purpose.ts';

const embeddingTypes = ['float', ...integerTypes, 'base64'] as const;
type EmbeddingType = (typeof embeddingTypes)[number];

/** Cohere's mixed inputs, of which we take texts. */
interface MixedInput {
  content: { type: 'text'; text: string }[];
}
const isMixedInput: ItemCheck = item => {
  const { content } = (item ?? {}) as { content?: unknown };
  const isTexts =
    Array.isArray(content) && content.every(part => part?.type === 'text' && typeof part.text === 'string');
  return isTexts
    ? null
    : 'must be {"content": [{"type": "text", "text": string}]}: only texts are known here';
};
const textPart = {
  type: 'object',
  properties: { type: { const: 'text' }, text: { type: 'string' } },
  required: ['type', 'text'],
};
const mixedInputs = listOf<MixedInput>('inputs', {
  what: 'a list of {"content": [...]}',
  check: isMixedInput,
  items: {
    type: 'object',
    properties: { content: { type: 'array', items: textPart, minItems: 1 } },
    required: ['content'],
  },
});

const isEmbeddingType: ItemCheck = item =>
  (embeddingTypes as readonly unknown[]).includes(item)
    ? null
    : `must be one of ${embeddingTypes.join(', ')}`;

const fields = {
  model: modelName,
  input_type: purposeField('input_type'),
  embedding_types: listOf<EmbeddingType>('embedding_types', {
    what: `a list of ${embeddingTypes.join(', ')}`,
    check: isEmbeddingType,
    items: { enum: embeddingTypes },
    min: 1,
    max: 32,
  }).nullish(),
  truncate: z
    .enum(['NONE', 'START', 'END'], { error: 'truncate must be NONE, START or END' })
    .nullish()
    .meta({ description: 'What is cut off of a text that is too long; END when absent, as Cohere says.' }),
  max_tokens: integer('max_tokens', 1).nullish(),
  priority: priorityField,
  ...instructionFields,
};

const v2Schema = z.object({
  ...fields,
  texts: textList('texts').nullish(),
  inputs: mixedInputs.nullish(),
  output_dimension: dimensionsField('output_dimension').nullish(),
});
const v1Schema = z.object({ ...fields, texts: textList('texts') });

type EmbedRequest = z.infer<typeof v2Schema>;

const meta = z.object({
  api_version: z.object({ version: z.string() }),
  billed_units: z.object({ input_tokens: z.int() }),
});
const byType = z.object({
  id: z.string(),
  embeddings: z.partialRecord(z.enum(embeddingTypes), z.array(z.union([z.array(z.number()), z.string()]))),
  texts: z.array(z.string()),
  meta,
  response_type: z.literal('embeddings_by_type'),
});
const asFloats = z.object({
  id: z.string(),
  embeddings: z.array(z.array(z.number())),
  texts: z.array(z.string()),
  meta,
  response_type: z.literal('embeddings_floats'),
});

/** Cohere's `POST /v2/embed`. */
export const cohereEmbed = defineDialect({
  name: 'cohere-embed',
  summary: 'Embeddings for clients of Cohere, version 2',
  role: 'embedding',
  schema: v2Schema,
  example: { texts: ['Hello, world!'], input_type: 'search_document', embedding_types: ['float'] },
  answer: byType,
  modelOf: request => request.model ?? null,
  toJob,
  countInputs: job => job.inputs.length,
  isBulk: request => (request.priority ?? 0) > 0,
  toAnswer: (result, request, { requestId }) =>
    embeddingsByType(result, request, {
      types: request.embedding_types ?? ['float'],
      requestId,
      version: '2',
    }),
  formOf: (_result, request) => ({ isDense: isDense(request) }),
  errors: cohereErrors,
});

/** Cohere's `POST /v1/embed`, which LangChain still uses: without `embedding_types` the vectors stand alone. */
export const cohereEmbedV1 = defineDialect({
  name: 'cohere-embed-v1',
  summary: 'Embeddings for clients of Cohere, version 1',
  role: 'embedding',
  schema: v1Schema,
  example: { texts: ['Hello, world!'], input_type: 'search_query' },
  answer: z.union([byType, asFloats]),
  modelOf: request => request.model ?? null,
  toJob,
  countInputs: job => job.inputs.length,
  isBulk: request => (request.priority ?? 0) > 0,
  toAnswer: (result, request, { requestId }) =>
    embeddingsByType(result, request, { types: request.embedding_types ?? null, requestId, version: '1' }),
  formOf: (_result, request) => ({ isDense: isDense(request) }),
  errors: cohereErrors,
});

function toJob(request: EmbedRequest, { limits }: DialectContext): EmbedJob {
  const inputs = textsOf(request);
  checkTexts(inputs, request.texts ? 'texts' : 'inputs', limits.inputs_per_request);
  const truncate = request.truncate ?? 'END';
  return {
    kind: 'embed',
    inputs,
    field: request.texts ? 'texts' : 'inputs',
    dimensions: request.output_dimension ?? null,
    query: queryOf(request.input_type, instructionOf(request), { field: 'input_type', inputs }),
    truncation:
      truncate === 'NONE'
        ? null
        : { maxTokens: request.max_tokens ?? null, keep: truncate === 'END' ? 'start' : 'end' },
    addSpecialTokens: true,
  };
}

function textsOf({ texts, inputs }: EmbedRequest): string[] {
  if ((texts == null) === (inputs == null)) {
    throw new RequestError('invalid_request', 'Send texts, or inputs: one of them.', { param: 'texts' });
  }
  return texts ?? (inputs ?? []).map(({ content }) => content.map(({ text }) => text).join(''));
}

const isDense = ({ embedding_types: types }: EmbedRequest) =>
  types?.every(type => type === 'base64') ?? false;

function* embeddingsByType(
  result: EmbedResult,
  request: EmbedRequest,
  {
    types,
    requestId,
    version,
  }: { types: readonly EmbeddingType[] | null; requestId: string; version: string },
): Iterable<BodyPart> {
  yield `{"id":${JSON.stringify(requestId)},"embeddings":`;
  if (types === null) yield* vectorsAs('float', result);
  else {
    for (const [place, type] of [...new Set(types)].entries()) {
      yield `${place > 0 ? ',' : '{'}"${type}":`;
      yield* vectorsAs(type, result);
    }
    yield '}';
  }
  yield ',"texts":';
  yield* jsonList(textsOf(request));
  const tail = {
    meta: { api_version: { version }, billed_units: { input_tokens: result.promptTokens } },
    response_type: types === null ? 'embeddings_floats' : 'embeddings_by_type',
  };
  yield `,${JSON.stringify(tail).slice(1)}`;
}

function* vectorsAs(type: EmbeddingType, result: EmbedResult): Iterable<BodyPart> {
  let separator = '[';
  for (const bytes of vectorsOf(result)) {
    yield separator;
    separator = ',';
    if (type === 'base64') yield `"${vectorToBase64(bytes)}"`;
    else if (type === 'float') yield floatsAsJson(bytes);
    else yield numbersToJson(quantize(floatsOf(bytes), type));
  }
  yield ']';
}
