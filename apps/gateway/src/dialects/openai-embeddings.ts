import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { EmbedJob, EmbedResult } from '@er-gateway/shared/scheduler-protocol';
import { z } from 'zod';
import type { BodyPart } from '../wire/body-writer.ts';
import { encodeFloats, floatTypes } from '../wire/float-types.ts';
import { integerTypes, quantize } from '../wire/integer-types.ts';
import { floatsAsJson, floatsOf, numbersToJson, vectorsOf, vectorToBase64 } from '../wire/vectors-text.ts';
import { defineDialect } from './dialect.ts';
import { embeddingsErrors } from './error-shapes.ts';
import {
  dimensionsField,
  flag,
  listInputs,
  modelName,
  only,
  openaiInput,
  priorityField,
  textField,
  vllmTruncation,
  vllmTruncationFields,
} from './inputs.ts';
import { instructionFields, instructionOf, purposeField, queryOf } from './purpose.ts';

const formats = ['float', 'base64', 'bytes', 'bytes_only'] as const;

const schema = z.object({
  model: modelName,
  input: openaiInput('input'),
  encoding_format: z
    .enum(formats, { error: `encoding_format must be one of ${formats.join(', ')}` })
    .nullish()
    .meta({ description: 'Vectors as numbers (the default), as base64 of float32, or as raw bytes (vLLM).' }),
  dimensions: dimensionsField('dimensions').nullish(),
  user: textField('user').nullish(),
  // vLLM
  ...vllmTruncationFields,
  embed_dtype: z
    .enum(floatTypes, { error: `embed_dtype must be one of ${floatTypes.join(', ')}` })
    .nullish()
    .meta({ description: 'Kind of number in base64 and bytes; float32 when absent.' }),
  endianness: z
    .enum(['native', 'little', 'big'], { error: 'endianness must be "native", "little" or "big"' })
    .nullish()
    .meta({ description: 'Order of bytes in base64 and bytes; little when absent.' }),
  add_special_tokens: flag('add_special_tokens').nullish().meta({
    description: 'false: inputs do not get the model’s last token, without which vectors mean little.',
  }),
  priority: priorityField,
  use_activation: only('use_activation', true),
  normalize: only('normalize', true),
  padding: only('padding', 'do_not_pad'),
  // Jina
  task: purposeField('task'),
  normalized: only('normalized', true),
  embedding_type: z
    .enum(['float', 'base64', ...integerTypes], { error: 'embedding_type is none that is known here' })
    .nullish(),
  late_chunking: only('late_chunking', false),
  return_multivector: only('return_multivector', false),
  truncate: flag('truncate').nullish(),
  // Voyage
  input_type: purposeField('input_type'),
  truncation: flag('truncation')
    .nullish()
    .meta({ description: 'true: cut inputs that are longer than the model takes.' }),
  output_dimension: dimensionsField('output_dimension').nullish(),
  output_dtype: z
    .enum(['float', ...integerTypes], {
      error: `output_dtype must be one of float, ${integerTypes.join(', ')}`,
    })
    .nullish(),
  ...instructionFields,
});

type EmbeddingsRequest = z.infer<typeof schema>;

const usage = z.object({ prompt_tokens: z.int(), total_tokens: z.int() });

/** OpenAI's `POST /v1/embeddings`, with what vLLM, Jina and Voyage add to it on the same path. */
export const openaiEmbeddings = defineDialect({
  name: 'openai',
  summary: 'Embeddings for clients of OpenAI, vLLM, Jina and Voyage',
  role: 'embedding',
  schema,
  example: { input: ['Hello, world!'], dimensions: 256 },
  answer: z.object({
    object: z.literal('list'),
    data: z.array(
      z.object({
        object: z.literal('embedding'),
        index: z.int(),
        embedding: z.union([z.array(z.number()), z.string()]),
      }),
    ),
    model: z.string(),
    usage,
  }),
  modelOf: request => request.model ?? null,
  toJob: (request, { limits }): EmbedJob => {
    const inputs = listInputs(request.input, 'input', limits.inputs_per_request);
    checkNumberKind(request);
    const purpose = request.input_type ?? request.task;
    return {
      kind: 'embed',
      inputs,
      field: 'input',
      dimensions: request.dimensions ?? request.output_dimension ?? null,
      query: queryOf(purpose, instructionOf(request), {
        field: request.input_type ? 'input_type' : request.task ? 'task' : 'instruction',
        inputs,
      }),
      truncation:
        vllmTruncation(request) ??
        (request.truncation || request.truncate ? { maxTokens: null, keep: 'start' } : null),
      addSpecialTokens: request.add_special_tokens ?? true,
    };
  },
  countInputs: job => job.inputs.length,
  isBulk: request => (request.priority ?? 0) > 0,
  toAnswer: (result, request) =>
    isRaw(request) ? rawVectors(result, request) : embeddingsAnswer(result, request),
  formOf: (result, request, { requestId }) => {
    if (!isRaw(request)) return { isDense: isBase64(request) };
    const headers = request.encoding_format === 'bytes' ? metadataHeader(result, request, requestId) : {};
    return { contentType: 'application/octet-stream', headers, isDense: true };
  },
  errors: embeddingsErrors,
});

function checkNumberKind(request: EmbeddingsRequest): void {
  if (request.embed_dtype == null || integerTypeOf(request) === null) return;
  throw new RequestError(
    'invalid_request',
    'Numbers are either of embed_dtype or of output_dtype. Send one.',
    {
      param: 'embed_dtype',
    },
  );
}

const isRaw = ({ encoding_format: format }: EmbeddingsRequest) =>
  format === 'bytes' || format === 'bytes_only';
const isBase64 = ({ encoding_format: format, embedding_type: type }: EmbeddingsRequest) =>
  format === 'base64' || type === 'base64';

function integerTypeOf({ output_dtype, embedding_type }: EmbeddingsRequest) {
  const type = output_dtype ?? embedding_type;
  return type == null || type === 'float' || type === 'base64' ? null : type;
}

/** A vector's bytes as the request wants them. */
function bytesAsWanted(bytes: Uint8Array, request: EmbeddingsRequest): Uint8Array {
  const integerType = integerTypeOf(request);
  if (integerType === null)
    return encodeFloats(bytes, request.embed_dtype ?? 'float32', request.endianness === 'big');
  const { buffer, byteOffset, byteLength } = quantize(floatsOf(bytes), integerType);
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** The answer, in parts for each vector: 2,048 vectors are 25 MB of text. */
function* embeddingsAnswer(result: EmbedResult, request: EmbeddingsRequest): Iterable<BodyPart> {
  const { model, promptTokens } = result;
  const integerType = integerTypeOf(request);
  const toValue = isBase64(request)
    ? (bytes: Uint8Array) => `"${vectorToBase64(bytesAsWanted(bytes, request))}"`
    : integerType === null
      ? floatsAsJson
      : (bytes: Uint8Array) => numbersToJson(quantize(floatsOf(bytes), integerType));
  let before = '{"object":"list","data":[';
  let index = 0;
  for (const bytes of vectorsOf(result)) {
    yield `${before}{"object":"embedding","index":${index},"embedding":`;
    yield toValue(bytes);
    before = '},';
    index++;
  }
  const usage = { prompt_tokens: promptTokens, total_tokens: promptTokens };
  yield `}],"model":${JSON.stringify(model)},"usage":${JSON.stringify(usage)}}`;
}

function* rawVectors(result: EmbedResult, request: EmbeddingsRequest): Iterable<BodyPart> {
  for (const bytes of vectorsOf(result)) yield bytesAsWanted(bytes, request);
}

/** Clients refuse headers of more than 16 KiB (Node's limit for all of them together). */
const maxMetadataBytes = 12 * 1024;

/** What vLLM tells of raw bytes in one header. Throws RequestError when it would be too large to be read. */
function metadataHeader(result: EmbedResult, request: EmbeddingsRequest, requestId: string) {
  let start = 0;
  const data = [...vectorsOf(result)].map((bytes, index) => {
    const end = start + bytesAsWanted(bytes, request).byteLength;
    const item = {
      index,
      embed_dtype: integerTypeOf(request) ?? request.embed_dtype ?? 'float32',
      endianness: request.endianness ?? 'native',
      start,
      end,
      shape: [result.dimensions],
    };
    start = end;
    return item;
  });
  const metadata = JSON.stringify({
    id: `embd-${requestId}`,
    created: Math.floor(Date.now() / 1000),
    model: result.model,
    data,
    usage: { prompt_tokens: result.promptTokens, total_tokens: result.promptTokens },
  });
  if (metadata.length > maxMetadataBytes) {
    throw new RequestError(
      'invalid_request',
      `The metadata header of encoding_format "bytes" would be larger than clients can read for ${data.length} inputs. Send fewer, or ask for bytes_only or base64.`,
      { param: 'encoding_format' },
    );
  }
  return { metadata };
}
