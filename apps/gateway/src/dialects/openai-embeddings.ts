import type { EmbedJob, EmbedResult } from '@er-gateway/shared/scheduler-protocol';
import { z } from 'zod';
import { floatsOf, vectorToBase64, vectorToJson } from '../wire/vectors-text.ts';
import { defineDialect } from './dialect.ts';
import { listInputs, modelName, openaiInput } from './inputs.ts';

const schema = z.object({
  model: modelName,
  input: openaiInput,
  encoding_format: z
    .enum(['float', 'base64'], { error: 'encoding_format must be "float" or "base64"' })
    .nullish()
    .transform(format => format ?? 'float'),
  dimensions: z.int('dimensions must be an integer').min(1, 'dimensions must be at least 1').nullish(),
  user: z.string('user must be a string').nullish(),
});

/** OpenAI's `POST /v1/embeddings`. */
export const openaiEmbeddings = defineDialect({
  name: 'openai',
  role: 'embedding',
  schema,
  modelOf: request => request.model ?? null,
  toJob: (request, { limits }): EmbedJob => ({
    kind: 'embed',
    inputs: listInputs(request.input, 'input', limits.inputs_per_request),
    dimensions: request.dimensions ?? null,
  }),
  countInputs: job => job.inputs.length,
  toAnswer: (result, request) => embeddingsAnswer(result, request.encoding_format),
});

/** The answer, a part for each vector: 2,048 vectors are 25 MB of text. */
function* embeddingsAnswer(result: EmbedResult, format: 'float' | 'base64'): Iterable<Buffer> {
  const { vectors, dimensions, model, promptTokens } = result;
  const vectorBytes = dimensions * 4;
  const count = vectors.byteLength / vectorBytes;
  yield Buffer.from('{"object":"list","data":[');
  for (let index = 0; index < count; index++) {
    const bytes = vectors.subarray(index * vectorBytes, (index + 1) * vectorBytes);
    yield Buffer.from(`${index > 0 ? ',' : ''}{"object":"embedding","index":${index},"embedding":`);
    yield format === 'base64' ? Buffer.from(`"${vectorToBase64(bytes)}"`) : vectorToJson(floatsOf(bytes));
    yield Buffer.from('}');
  }
  const usage = { prompt_tokens: promptTokens, total_tokens: promptTokens };
  yield Buffer.from(`],"model":${JSON.stringify(model)},"usage":${JSON.stringify(usage)}}`);
}
