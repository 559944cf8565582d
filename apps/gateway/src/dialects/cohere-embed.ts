import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { EmbedJob, EmbedResult } from '@er-gateway/shared/scheduler-protocol';
import { z } from 'zod';
import { floatsOf, vectorToBase64, vectorToJson } from '../wire/vectors-text.ts';
import { defineDialect } from './dialect.ts';
import { checkCount, modelName } from './inputs.ts';

const embeddingType = z.enum(['float', 'base64'], {
  error: 'embedding_types knows "float" and "base64" here',
});

/** Cohere's `POST /v2/embed`. */
export const cohereEmbed = defineDialect({
  name: 'cohere-embed',
  role: 'embedding',
  schema: z.object({
    model: modelName,
    texts: z.array(z.string(), { error: 'texts must be a list of strings' }),
    embedding_types: z.array(embeddingType).min(1, 'embedding_types is empty').default(['float']),
    output_dimension: z
      .int('output_dimension must be an integer')
      .min(1, 'output_dimension must be at least 1')
      .nullish(),
  }),
  modelOf: request => request.model ?? null,
  toJob: (request, { limits }): EmbedJob => {
    checkCount(request.texts.length, 'texts', limits.inputs_per_request);
    const empty = request.texts.indexOf('');
    if (empty >= 0)
      throw new RequestError('invalid_request', `texts[${empty}] is empty.`, { param: `texts[${empty}]` });
    return { kind: 'embed', inputs: request.texts, dimensions: request.output_dimension ?? null };
  },
  countInputs: job => job.inputs.length,
  *toAnswer(result, request, { requestId }) {
    yield Buffer.from(`{"id":${JSON.stringify(requestId)},"embeddings":{`);
    for (const [place, type] of [...new Set(request.embedding_types)].entries()) {
      yield Buffer.from(`${place > 0 ? ',' : ''}"${type}":[`);
      yield* vectorsAs(type, result);
      yield Buffer.from(']');
    }
    const meta = { api_version: { version: '2' }, billed_units: { input_tokens: result.promptTokens } };
    const tail = { texts: request.texts, meta, response_type: 'embeddings_by_type' };
    yield Buffer.from(`},${JSON.stringify(tail).slice(1)}`);
  },
  toErrorBody: (error, requestId) => ({ id: requestId, message: error.message }),
});

function* vectorsAs(type: 'float' | 'base64', { vectors, dimensions }: EmbedResult): Iterable<Buffer> {
  const vectorBytes = dimensions * 4;
  for (let start = 0; start < vectors.byteLength; start += vectorBytes) {
    const bytes = vectors.subarray(start, start + vectorBytes);
    if (start > 0) yield Buffer.from(',');
    yield type === 'base64' ? Buffer.from(`"${vectorToBase64(bytes)}"`) : vectorToJson(floatsOf(bytes));
  }
}
