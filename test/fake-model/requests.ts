import { badRequest, invalidField } from './api-error.ts';
import { detokenize, endOfTextId, tokenize, vocabularySize } from './tokenizer.ts';

/** A request body, checked to be an object. */
export type Body = Record<string, unknown>;

/** How vectors and scores are sent. */
export type Encoding = 'float' | 'base64' | 'bytes' | 'bytes_only';

/** Pairs of a /score or /rerank call. */
export interface Pair {
  query: string;
  document: string;
}

/** The body as an object, or vLLM's answer to a body that is none. */
export function parseBody(contentType: string | undefined, text: string): Body {
  if (contentType?.split(';')[0]?.trim() !== 'application/json') {
    throw invalidType('value_error', "Unsupported Media Type: Only 'application/json' is allowed");
  }
  if (text === '') throw invalidField('body', 'missing', 'Field required');
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    const position = /position (\d+)/.exec((error as Error).message)?.[1] ?? text.length;
    throw invalidField(`body.${position}`, 'json_invalid', 'JSON decode error');
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw invalidField('body', 'model_attributes_type', 'Input should be a valid dictionary or object');
  }
  return body as Body;
}

function invalidType(kind: string, message: string) {
  const error = invalidField('body', kind, message);
  return Object.assign(error, { message: `1 validation error:\n  ${message}`, param: null });
}

/** Token ids of each input: text gets the ending of the model's tokenizer, ids are taken as they are. */
export function parseInputs(
  body: Body,
  { endOfText, maxModelLen }: { endOfText: boolean; maxModelLen: number },
) {
  const addSpecialTokens = body.add_special_tokens !== false;
  const ending = endOfText && addSpecialTokens ? [endOfTextId] : [];
  const most = body.truncate_prompt_tokens === -1 ? maxModelLen : (body.truncate_prompt_tokens ?? null);
  const inputs = toList(body.input).map(input => {
    if (typeof input === 'string') {
      const whole = tokenize(input);
      const ids = [...(typeof most === 'number' ? whole.slice(0, most - ending.length) : whole), ...ending];
      if (ids.length > maxModelLen)
        throw tooLong(maxModelLen, `at least ${maxModelLen + 1}`, maxModelLen + 1);
      return ids;
    }
    checkIds(input);
    if (input.length > maxModelLen) throw tooLong(maxModelLen, String(input.length), input.length);
    return input;
  });
  if (inputs.length === 0) throw badRequest('You must pass at least one prompt');
  return inputs;
}

/** One text, a list of texts, one list of ids or a list of them. */
function toList(input: unknown): (string | number[])[] {
  if (typeof input === 'string') return [input];
  if (!Array.isArray(input))
    throw invalidField('body.input', input === undefined ? 'missing' : 'list_type', 'Field required');
  if (input.length > 0 && input.every(item => Number.isInteger(item))) return [input as number[]];
  const isTexts = input.every(item => typeof item === 'string');
  const isLists = input.every(item => Array.isArray(item) && item.every(Number.isInteger));
  if (!isTexts && !isLists) throw invalidField('body.input', 'string_type', 'Input should be a valid string');
  return input as string[] | number[][];
}

function checkIds(ids: number[]): void {
  if (ids.length === 0) throw badRequest('The decoder prompt cannot be empty');
  const unknown = ids.find(id => id < 0 || id >= vocabularySize);
  if (unknown !== undefined) throw badRequest(`Token id ${unknown} is out of vocabulary`);
}

/** vLLM's answer to an input over the limit. */
export function tooLong(maxModelLen: number, counted: string, value: number) {
  return badRequest(
    `This model's maximum context length is ${maxModelLen} tokens. However, your prompt contains ${counted} input tokens, ` +
      'which exceeds this limit even without any output tokens. Please reduce the length of the input prompt. ' +
      `(parameter=input_tokens, value=${value})`,
    'input_tokens',
  );
}

export function parseEncoding(body: Body): Encoding {
  const encoding = body.encoding_format ?? 'float';
  if (encoding !== 'float' && encoding !== 'base64' && encoding !== 'bytes' && encoding !== 'bytes_only') {
    throw invalidField(
      'body.encoding_format',
      'literal_error',
      "Input should be 'float', 'base64', 'bytes' or 'bytes_only'",
    );
  }
  // Not reproduced: say so instead of answering wrongly.
  if (encoding !== 'float' && (body.embed_dtype ?? 'float32') !== 'float32') {
    throw badRequest('the fake model server knows no other embed_dtype than float32');
  }
  return encoding;
}

/** The length that vectors are cut to; null is the model's own. */
export function parseDimensions(
  body: Body,
  model: { name: string; matryoshka: boolean; size: number },
): number | null {
  const dimensions = body.dimensions ?? null;
  if (dimensions === null) return null;
  if (!Number.isInteger(dimensions))
    throw invalidField('body.dimensions', 'int_parsing', 'Input should be a valid integer');
  if (!model.matryoshka) {
    throw badRequest(
      `Model '${model.name}' does not support Matryoshka embeddings; dimensions must be unset (received dimensions=${dimensions}).`,
    );
  }
  if ((dimensions as number) < 1 || (dimensions as number) > model.size) {
    throw badRequest(
      `Model '${model.name}' only supports dimensions in range [1, ${model.size}], got ${dimensions}.`,
    );
  }
  return dimensions as number;
}

/** The pairs of a /score call: 1:1, 1:N or N:N. */
export function parseScorePairs(body: Body): Pair[] {
  const queries = parseTexts(body, ['queries', 'text_1', 'data_1']);
  const documents = parseTexts(body, ['documents', 'items', 'text_2', 'data_2']);
  if (queries.length === 0) throw badRequest('At least one text element must be given');
  if (documents.length === 0) throw badRequest('At least one text_pair element must be given');
  if (queries.length !== 1 && queries.length !== documents.length) {
    throw badRequest('Input lengths must be either 1:1, 1:N or N:N');
  }
  return documents.map((document, at) => ({
    query: firstTokens(queries[queries.length === 1 ? 0 : at] ?? '', body.max_tokens_per_query),
    document: firstTokens(document, body.max_tokens_per_doc),
  }));
}

/** A text of so many tokens; 0 and nothing are all of them. */
function firstTokens(text: string, most: unknown): string {
  return typeof most === 'number' && most > 0 ? detokenize(tokenize(text).slice(0, most)) : text;
}

/** The pairs of a /rerank call, and how many results are wanted. */
export function parseRerankPairs(body: Body): { pairs: Pair[]; topN: number } {
  if (typeof body.query !== 'string')
    throw invalidField('body.query', 'string_type', 'Input should be a valid string');
  const documents = parseTexts(body, ['documents']);
  const topN = body.top_n ?? 0;
  if ('top_n' in body && (!Number.isInteger(topN) || (topN as number) < 0 || body.top_n === null)) {
    throw invalidField('body.top_n', 'greater_than_equal', 'Input should be greater than or equal to 0');
  }
  if (documents.length === 0) throw badRequest('At least one text_pair element must be given');
  const query = body.query;
  return {
    pairs: documents.map(document => ({ query, document })),
    topN: topN === 0 ? documents.length : (topN as number),
  };
}

function parseTexts(body: Body, names: string[]): string[] {
  const name = names.find(name => body[name] !== undefined);
  if (name === undefined) throw invalidField(`body.${names[0]}`, 'missing', 'Field required');
  const texts = typeof body[name] === 'string' ? [body[name]] : body[name];
  if (!Array.isArray(texts) || !texts.every(text => typeof text === 'string')) {
    throw invalidField(`body.${name}`, 'string_type', 'Input should be a valid string');
  }
  return texts as string[];
}

/** What the reranker judges by; null is the template's default. `chat_template_kwargs` wins. */
export function parseInstruction(body: Body): string | null {
  const nested = (body.chat_template_kwargs as Body | null | undefined)?.instruction;
  const instruction = nested ?? body.instruction ?? null;
  return typeof instruction === 'string' ? instruction : null;
}
