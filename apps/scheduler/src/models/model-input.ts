import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { Truncation } from '@er-gateway/shared/scheduler-protocol';
import type { PreparedInput } from '../model-lane.ts';

/** A job's inputs as they go to the server, and the indexes of those that were cut. */
export interface PreparedInputs {
  inputs: PreparedInput[];
  truncated: number[];
}

/** Bytes of a token, roughly, in most languages; only for budgets where the true count is not known. */
const bytesPerToken = 4;

/** Tokens of all inputs of a request: 4 bytes each, and the fair queue's measure. More than 32 MiB of English. */
const maxTokensPerRequest = 8_000_000;

/** A text's cost in tokens when only its server can count them. */
export function estimateTokens(text: string): number {
  return Math.ceil(text.length / bytesPerToken) + 1;
}

/** The error for an input over the model's length. */
export function tooLong(field: string, tokens: number, limit: number): RequestError {
  return new RequestError(
    'invalid_request',
    `${field} has ${tokens} tokens; this model takes at most ${limit}. Shorten it, split it, or ask for truncation.`,
    { param: field },
  );
}

/** The error for what stands around each input, and is over the model's length already. */
export function tooLongAround(field: string, tokens: number, limit: number): RequestError {
  return new RequestError(
    'invalid_request',
    `${field} takes ${tokens} tokens with the words that the model wants around it; this model takes at most ${limit}. Shorten it.`,
    { param: field },
  );
}

/**
 * Refuses what would fill the memory: a request of 32 MiB can ask for tens of gigabytes when a long query or instruction
 * is repeated for each of its inputs.
 */
export function checkTotal(inputs: readonly PreparedInput[], field: string): void {
  const tokens = inputs.reduce((sum, input) => sum + input.tokens, 0);
  if (tokens <= maxTokensPerRequest) return;
  throw new RequestError(
    'invalid_request',
    `${field}: ${tokens} tokens in all, with what is repeated for each of them (query, instruction, template); a request may have ${maxTokensPerRequest}. Send fewer at once.`,
    { param: field },
  );
}

/** The error for a limit that what must stay (instruction, template, query) fills alone. */
export function noRoom(field: string, limit: number): RequestError {
  return new RequestError(
    'invalid_request',
    `${field} cannot be cut to ${limit} tokens: nothing of it would be left beside what must stay around it.`,
    { param: field },
  );
}

/** The error for what only a tokenizer could do, where only the model server has one; `what` names the caller's wish. */
export function needsTokenizer(field: string, what: string): RequestError {
  return new RequestError(
    'invalid_request',
    `${what} needs the model's tokenizer, which only the model server has. Leave it out, or give the gateway the model's folder (models.*.path).`,
    { param: field },
  );
}

/** Refuses a text that is too long whatever its tokens are, so that nobody makes us tokenize 30 MB to find out. */
export function checkBytes(text: string, maxTokens: number, longestTokenBytes: number, field: string): void {
  if (text.length <= maxTokens || Buffer.byteLength(text) <= maxTokens * longestTokenBytes) return;
  throw new RequestError(
    'invalid_request',
    `${field} is far too long: this model takes at most ${maxTokens} tokens. Shorten it, split it, or ask for truncation.`,
    { param: field },
  );
}

/** The part of a text that is worth tokenizing when it will be cut to `maxTokens`: at least so many tokens of one end. */
export function worthReading(
  text: string,
  {
    maxTokens,
    longestTokenBytes,
    keep,
  }: { maxTokens: number; longestTokenBytes: number } & Pick<Truncation, 'keep'>,
): string {
  const most = maxTokens * longestTokenBytes; // characters: at least as many bytes
  if (text.length <= most) return text;
  return keep === 'start' ? text.slice(0, most) : text.slice(-most);
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
