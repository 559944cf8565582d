import { RequestError } from '@er-gateway/shared/errors/request-error';

/** An input as callers send it: a text, or token ids. */
export type ModelInput = string | number[];

/** Bytes of a token, roughly, in most languages; only for budgets where the true count is not known. */
const bytesPerToken = 4;

/** A text's cost in tokens when only its server can count them. */
export function estimateTokens(text: string): number {
  return Math.ceil(text.length / bytesPerToken) + 1;
}

/** The error for an input over the model's length. */
export function tooLong(field: string, tokens: number, limit: number): RequestError {
  return new RequestError(
    'invalid_request',
    `${field} has ${tokens} tokens; this model takes at most ${limit}. Shorten it or split it.`,
    { param: field },
  );
}

/** Refuses a text that is too long whatever its tokens are, so that nobody makes us tokenize 30 MB to find out. */
export function checkBytes(text: string, maxTokens: number, longestTokenBytes: number, field: string): void {
  if (text.length <= maxTokens || Buffer.byteLength(text) <= maxTokens * longestTokenBytes) return;
  throw new RequestError(
    'invalid_request',
    `${field} is far too long: this model takes at most ${maxTokens} tokens. Shorten it or split it.`,
    { param: field },
  );
}

/** The ids of a caller. Throws RequestError for one that is no token of the model. */
export function checkIds(ids: readonly number[], vocabularySize: number, field: string): void {
  const wrong = ids.findIndex(id => !(id >= 0 && id < vocabularySize));
  if (wrong < 0) return;
  throw new RequestError(
    'invalid_request',
    `${field} holds an id that is no token of this model: they go from 0 to ${vocabularySize - 1}.`,
    { param: field },
  );
}

/** What an input is called in errors: `input` alone, `input[3]` among others. */
export const fieldOf = (name: string, index: number, count: number) =>
  count === 1 ? name : `${name}[${index}]`;
