import type { RequestError } from '@er-gateway/shared/errors/request-error';
import { z } from 'zod';

/** How a dialect tells errors. */
export interface ErrorShape {
  /** Name for the OpenAPI document. */
  name: string;
  schema: z.ZodType;
  toBody: (error: RequestError, requestId: string) => unknown;
}

const openaiSchema = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string(),
  }),
});
const openaiBody = ({ message, type, param, code }: RequestError) => ({
  error: { message, type, param, code },
});

/** OpenAI's, which vLLM's clients read too. */
export const openaiErrors: ErrorShape = {
  name: 'OpenAIError',
  schema: openaiSchema,
  toBody: openaiBody,
};

/** OpenAI's, with the `detail` that clients of Voyage (which take an error without it for none of theirs) and Jina read. */
export const embeddingsErrors: ErrorShape = {
  name: 'EmbeddingsError',
  schema: openaiSchema.extend({ detail: z.string() }),
  toBody: error => ({ ...openaiBody(error), detail: error.message }),
};

/** That, with the `message` that clients of Cohere version 1 read. */
export const rerankErrors: ErrorShape = {
  name: 'RerankError',
  schema: openaiSchema.extend({ detail: z.string(), message: z.string() }),
  toBody: error => ({ ...openaiBody(error), detail: error.message, message: error.message }),
};

/** Cohere's. */
export const cohereErrors: ErrorShape = {
  name: 'CohereError',
  schema: z.object({ id: z.string(), message: z.string() }),
  toBody: ({ message }, requestId) => ({ id: requestId, message }),
};

/** TEI's; `error_type` is one of its own names (router/src/http/types.rs). */
export const teiErrors: ErrorShape = {
  name: 'TeiError',
  schema: z.object({
    error: z.string(),
    error_type: z.enum(['Unhealthy', 'Backend', 'Overloaded', 'Validation', 'Tokenizer', 'Empty']),
  }),
  toBody: ({ status, code, message }) => {
    const errorType =
      status === 429 || code === 'overloaded'
        ? 'Overloaded'
        : status === 503
          ? 'Unhealthy'
          : status < 500
            ? 'Validation'
            : 'Backend';
    return { error: message, error_type: errorType };
  },
};
