import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { Truncation } from '@er-gateway/shared/scheduler-protocol';
import { z } from 'zod';
import { firstWrong, type ItemCheck, isText, isTokenId, listOf, lookedOver, mostItems } from './lists.ts';

/** A model name; absent, null or empty leaves the choice to the route, as vLLM does. */
export const modelName = z.string('model must be a string').nullish();

// Emptiness is checked by listInputs, which names the place; the schemas only tell of it (OpenAPI).
const text = { type: 'string', minLength: 1 };
/** A token id in JSON Schema. */
export const tokenId = {
  type: 'integer',
  minimum: 0,
  maximum: 151_935,
  description: "An id of Qwen3's vocabulary.",
};
const atLeastOne = (items: object) => ({ type: 'array', items, minItems: 1 });

const isTokenIdList: ItemCheck = item => {
  if (!Array.isArray(item)) return 'must be a list of token ids';
  if (item.length > mostItems) return `holds more than ${mostItems} token ids`;
  return item.every(id => isTokenId(id) === null) ? null : 'must be a list of token ids: integers from 0 up';
};

/** `input` of OpenAI's embeddings, called `name`: a text, texts, token ids, or lists of token ids, as its first item says. */
export const openaiInput = (name: string) =>
  lookedOver<string | string[] | number[] | number[][]>(
    value => {
      if (typeof value === 'string') return null;
      const first = Array.isArray(value) ? value[0] : undefined;
      const check = typeof first === 'number' ? isTokenId : Array.isArray(first) ? isTokenIdList : isText;
      const what = 'a string, a list of strings, a list of token ids, or a list of lists of token ids';
      return firstWrong(value, { name, what, check });
    },
    { anyOf: [text, atLeastOne(text), atLeastOne(tokenId), atLeastOne(atLeastOne(tokenId))] },
  );

/** A list of texts called `name`. */
export const textList = (name: string) =>
  listOf<string>(name, { what: 'a list of strings', check: isText, items: text }).meta({ minItems: 1 });

/** A flag called `name`. */
export const flag = (name: string) => z.boolean(`${name} must be true or false`);

/** An integer of at least `minimum` called `name`. */
export const integer = (name: string, minimum: number) =>
  z.int(`${name} must be an integer`).min(minimum, `${name} must be at least ${minimum}`);

/** A text called `name`. */
export const textField = (name: string) => z.string(`${name} must be a string`);

/** The least length of vectors by the model card, and the most of Qwen3-Embedding-0.6B; the scheduler knows the model's own. */
const [leastDimensions, mostDimensions] = [32, 1024];

/** A length of vectors called `name`. */
export const dimensionsField = (name: string) =>
  z
    .int(`${name} must be an integer`)
    .min(
      leastDimensions,
      `${name} must be from ${leastDimensions} to the model's own length (${mostDimensions} for Qwen3-Embedding-0.6B)`,
    )
    .meta({ maximum: mostDimensions, description: 'Length of each vector: cut and normalised again.' });

/** A wish that only one value can fulfil here: the other one would need numbers that are not made. */
export const only = <const Value extends string | number | boolean>(name: string, value: Value) =>
  z.literal(value, { error: `${name} can only be ${JSON.stringify(value)} here` }).nullish();

/** vLLM's priority (0 is usual, higher is later); what is later than usual goes with the class `bulk`. */
export const priorityField = z
  .int('priority must be an integer')
  .nullish()
  .meta({ description: 'Above 0: others go first, as with X-ER-Priority: bulk.' });

/** The inputs of a request as a list, each one text or one list of token ids. Refuses what no model can embed. */
export function listInputs(
  input: string | string[] | number[] | number[][],
  field: string,
  limit: number,
): (string | number[])[] {
  const inputs = typeof input === 'string' ? [input] : isTokenIds(input) ? [input] : input;
  checkTexts(inputs, field, limit, inputs.length === 1 && !Array.isArray(input));
  return inputs;
}

/** Refuses an empty list, one over `limits.inputs_per_request`, and an empty input in it, by its index. */
export function checkTexts(
  inputs: readonly (string | number[])[],
  field: string,
  limit: number,
  isAlone = false,
): void {
  checkCount(inputs.length, field, limit);
  const empty = inputs.findIndex(item => item.length === 0);
  if (empty < 0) return;
  const param = isAlone ? field : `${field}[${empty}]`;
  throw new RequestError(
    'invalid_request',
    `${param} is empty. An input needs at least one character or token.`,
    { param },
  );
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

/** vLLM's two fields that say how an input is cut. */
export const vllmTruncationFields = {
  truncate_prompt_tokens: integer('truncate_prompt_tokens', -1)
    .refine(
      tokens => tokens !== 0,
      'truncate_prompt_tokens must be -1 (as many as the model takes) or above 0',
    )
    .nullish()
    .meta({
      not: { const: 0 },
      description: 'Cut longer inputs to so many tokens; -1: to what the model takes.',
    }),
  truncation_side: z
    .enum(['left', 'right'], { error: 'truncation_side must be "left" or "right"' })
    .nullish()
    .meta({ description: 'The side that is cut off. The last token of the model and the instruction stay.' }),
};

/** Those as a job has them; null when nothing was asked for. */
export function vllmTruncation(request: {
  truncate_prompt_tokens?: number | null | undefined;
  truncation_side?: 'left' | 'right' | null | undefined;
}): Truncation | null {
  const tokens = request.truncate_prompt_tokens ?? null;
  if (tokens === null) return null;
  return {
    maxTokens: tokens === -1 ? null : tokens,
    keep: request.truncation_side === 'left' ? 'end' : 'start',
  };
}

const isTokenIds = (input: string[] | number[] | number[][]): input is number[] =>
  typeof input[0] === 'number';
