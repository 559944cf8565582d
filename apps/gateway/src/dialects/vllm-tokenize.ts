import type { DetokenizeJob, TokenizeJob } from '@er-gateway/shared/scheduler-protocol';
import { z } from 'zod';
import { defineDialect } from './dialect.ts';
import { modelName } from './inputs.ts';

/** vLLM's `POST /tokenize`. */
export const vllmTokenize = defineDialect({
  name: 'vllm-tokenize',
  role: 'named',
  schema: z.object({
    model: modelName,
    prompt: z.string('prompt must be a string'),
    add_special_tokens: z.boolean('add_special_tokens must be true or false').default(true),
  }),
  modelOf: request => request.model ?? null,
  toJob: (request, { role }): TokenizeJob => ({
    kind: 'tokenize',
    role,
    prompt: request.prompt,
    addSpecialTokens: request.add_special_tokens,
  }),
  countInputs: () => 1,
  toAnswer: ({ tokens, maxModelLen }) =>
    JSON.stringify({ count: tokens.length, max_model_len: maxModelLen, tokens, token_strs: null }),
});

/** vLLM's `POST /detokenize`. */
export const vllmDetokenize = defineDialect({
  name: 'vllm-detokenize',
  role: 'named',
  schema: z.object({
    model: modelName,
    tokens: z.array(z.int().min(0), { error: 'tokens must be a list of token ids' }),
  }),
  modelOf: request => request.model ?? null,
  toJob: (request, { role }): DetokenizeJob => ({ kind: 'detokenize', role, tokens: request.tokens }),
  countInputs: () => 1,
  toAnswer: result => JSON.stringify({ prompt: result.prompt }),
});
