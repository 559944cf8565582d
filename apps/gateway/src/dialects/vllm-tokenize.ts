import type { DetokenizeJob, TokenizeJob } from '@er-gateway/shared/scheduler-protocol';
import { z } from 'zod';
import { jsonList, jsonNumbers } from '../wire/json-parts.ts';
import { defineDialect } from './dialect.ts';
import { flag, modelName, textField, tokenId } from './inputs.ts';
import { isTokenId, listOf } from './lists.ts';

/** vLLM's `POST /tokenize`. */
export const vllmTokenize = defineDialect({
  name: 'vllm-tokenize',
  summary: 'Token ids of a text, for clients of vLLM',
  role: 'named',
  schema: z.object({
    model: modelName,
    prompt: textField('prompt'),
    add_special_tokens: flag('add_special_tokens').nullish(),
    return_token_strs: flag('return_token_strs').nullish(),
  }),
  example: { prompt: 'Hello, world!' },
  answer: z.object({
    count: z.int(),
    max_model_len: z.int(),
    tokens: z.array(z.int()),
    token_strs: z.array(z.string()).nullable(),
  }),
  modelOf: request => request.model ?? null,
  toJob: (request, { role }): TokenizeJob => ({
    kind: 'tokenize',
    role,
    prompt: request.prompt,
    addSpecialTokens: request.add_special_tokens ?? true,
    returnTokenStrs: request.return_token_strs ?? false,
  }),
  countInputs: () => 1,
  *toAnswer({ tokens, tokenStrs, maxModelLen }) {
    yield `{"count":${tokens.length},"max_model_len":${maxModelLen},"tokens":`;
    yield* jsonNumbers(tokens);
    yield ',"token_strs":';
    if (tokenStrs === null) yield 'null';
    else yield* jsonList(tokenStrs);
    yield '}';
  },
});

/** vLLM's `POST /detokenize`. */
export const vllmDetokenize = defineDialect({
  name: 'vllm-detokenize',
  summary: 'The text of token ids, for clients of vLLM',
  role: 'named',
  schema: z.object({
    model: modelName,
    tokens: listOf<number>('tokens', {
      what: 'a list of token ids',
      check: isTokenId,
      items: tokenId,
    }),
  }),
  example: { tokens: [9707, 11, 1879, 0] },
  answer: z.object({ prompt: z.string() }),
  modelOf: request => request.model ?? null,
  toJob: (request, { role }): DetokenizeJob => ({ kind: 'detokenize', role, tokens: request.tokens }),
  countInputs: () => 1,
  toAnswer: result => JSON.stringify({ prompt: result.prompt }),
});
