import { RequestError } from '@er-gateway/shared/errors/request-error';
import { z } from 'zod';

/** A model name; absent, null or empty leaves the choice to the route, as vLLM does. */
export const modelName = z.string('model must be a string').nullish();

const tokenIds = z.array(z.int());

/** `input` of OpenAI's embeddings: a text, texts, token ids, or lists of token ids. */
export const openaiInput = z.union([z.string(), z.array(z.string()), tokenIds, z.array(tokenIds)], {
  error: 'input must be a string, a list of strings, a list of token ids, or a list of lists of token ids',
});

/** The inputs of a request as a list, each one text or one list of token ids. Refuses what no model can embed. */
export function listInputs(
  input: z.infer<typeof openaiInput>,
  field: string,
  limit: number,
): (string | number[])[] {
  const inputs = typeof input === 'string' ? [input] : isTokenIds(input) ? [input] : input;
  checkCount(inputs.length, field, limit);
  inputs.forEach((item, index) => {
    if (item.length === 0)
      throw emptyItem(inputs.length === 1 && !Array.isArray(input) ? field : `${field}[${index}]`);
  });
  return inputs;
}

/** Refuses an empty list, and one over `limits.inputs_per_request`. */
export function checkCount(count: number, field: string, limit: number): void {
  if (count === 0) {
    throw new RequestError('invalid_request', `${field} is empty. Send at least one.`, { param: field });
  }
  if (count > limit) {
    throw new RequestError(
      'invalid_request',
      `${field} holds ${count} items; at most ${limit} are taken in one request. Split it, or raise limits.inputs_per_request.`,
      { param: field },
    );
  }
}

const emptyItem = (param: string) =>
  new RequestError('invalid_request', `${param} is empty. An input needs at least one character or token.`, {
    param,
  });

const isTokenIds = (input: string[] | number[] | number[][]): input is number[] =>
  typeof input[0] === 'number';
