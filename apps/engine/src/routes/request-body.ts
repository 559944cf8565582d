import { z } from 'zod';
import { InvalidBodyError, UnknownModelError } from '../engine-error.ts';
import { modelFacts } from '../model/model-facts.ts';

/** vLLM would cut the input by tokens here. We refuse rather than ignore what changes the result. */
const notSupported = z.null('is not supported by the built-in engine').optional();

/** Most tokens of a query and a document, the first ones stay; 0 is all of them, as for vLLM. */
export const pairLimits = {
  max_tokens_per_query: z.int().min(0).nullish(),
  max_tokens_per_doc: z.int().min(0).nullish(),
};

/** Fields of every request. Unknown ones are ignored, as vLLM does. */
export const commonFields = {
  model: z.string().nullish(),
  truncate_prompt_tokens: notSupported,
  max_tokens_per_query: notSupported,
  max_tokens_per_doc: notSupported,
};

/** One text, or a list of them; as a list. */
export const textsField = z
  .union([z.string(), z.array(z.string())], 'must be a string or a list of strings')
  .transform(texts => (typeof texts === 'string' ? [texts] : texts));

/** The body in the schema's form. Throws InvalidBodyError, or UnknownModelError for a model that is not ours. */
export function parseRequestBody<Body extends { model?: string | null | undefined }>(
  schema: z.ZodType<Body>,
  body: unknown,
  servedName: string,
): Body {
  const { success, data, error } = schema.safeParse(body);
  if (!success) {
    const problems = error.issues.map(({ path, message }) => `${['body', ...path].join('.')}: ${message}`);
    throw new InvalidBodyError(problems.slice(0, 10), ['body', ...(error.issues[0]?.path ?? [])].join('.'));
  }
  if (data.model && data.model !== servedName && data.model !== modelFacts.name)
    throw new UnknownModelError(data.model);
  return data;
}
