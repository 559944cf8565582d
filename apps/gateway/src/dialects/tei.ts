import type { RequestError } from '@er-gateway/shared/errors/request-error';
import type { EmbedJob, ScoreJob } from '@er-gateway/shared/scheduler-protocol';
import { z } from 'zod';
import { floatsOf, vectorToJson } from '../wire/vectors-text.ts';
import { defineDialect } from './dialect.ts';
import { checkCount, listInputs, openaiInput } from './inputs.ts';

/** TEI's error body; `error_type` is one of its own five names (router/src/http/types.rs). */
function toErrorBody(error: RequestError) {
  const errorType =
    error.status === 429 || error.code === 'overloaded'
      ? 'Overloaded'
      : error.status === 503
        ? 'Unhealthy'
        : error.status < 500
          ? 'Validation'
          : 'Backend';
  return { error: error.message, error_type: errorType };
}

/** Hugging Face text-embeddings-inference, `POST /embed`: vectors as a bare list of lists. */
export const teiEmbed = defineDialect({
  name: 'tei-embed',
  role: 'embedding',
  schema: z.object({
    inputs: openaiInput,
    dimensions: z.int('dimensions must be an integer').min(1, 'dimensions must be at least 1').nullish(),
  }),
  modelOf: () => null,
  toJob: (request, { limits }): EmbedJob => ({
    kind: 'embed',
    inputs: listInputs(request.inputs, 'inputs', limits.inputs_per_request),
    dimensions: request.dimensions ?? null,
  }),
  countInputs: job => job.inputs.length,
  *toAnswer({ vectors, dimensions }) {
    const vectorBytes = dimensions * 4;
    for (let start = 0; start < vectors.byteLength; start += vectorBytes) {
      yield Buffer.from(start === 0 ? '[' : ',');
      yield vectorToJson(floatsOf(vectors.subarray(start, start + vectorBytes)));
    }
    yield Buffer.from(']');
  },
  toErrorBody,
});

/** TEI's `POST /rerank`: scores as a bare list, best first. */
export const teiRerank = defineDialect({
  name: 'tei-rerank',
  role: 'reranker',
  schema: z.object({
    query: z.string('query must be a string').min(1, 'query is empty'),
    texts: z.array(z.string(), { error: 'texts must be a list of strings' }),
    return_text: z.boolean('return_text must be true or false').default(false),
  }),
  modelOf: () => null,
  toJob: (request, { limits }): ScoreJob => {
    checkCount(request.texts.length, 'texts', limits.inputs_per_request);
    return { kind: 'score', queries: [request.query], documents: request.texts, instruction: null };
  },
  countInputs: job => job.documents.length,
  toAnswer: (result, request) =>
    JSON.stringify(
      result.scores
        .map((score, index) => ({ index, score, ...(request.return_text && { text: request.texts[index] }) }))
        .sort((a, b) => b.score - a.score),
    ),
  toErrorBody,
});
