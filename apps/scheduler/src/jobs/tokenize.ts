import type {
  DetokenizeJob,
  DetokenizeResult,
  TokenizeJob,
  TokenizeResult,
} from '@er-gateway/shared/scheduler-protocol';
import type { JobContext } from '../job-context.ts';
import { checkIds } from '../models/model-input.ts';
import type { ServedModel } from '../served-model.ts';
import type { UpstreamPool } from '../upstream/upstream-pool.ts';

/** What vLLM answers to /tokenize. */
interface TokenizeAnswer {
  tokens: number[];
  token_strs?: string[] | null;
  max_model_len: number;
}

/** The prompt's token ids as the model server says them, special-token text included. */
export async function runTokenizeJob(
  { prompt, addSpecialTokens, returnTokenStrs }: TokenizeJob,
  { lane: { pool } }: ServedModel,
  context: JobContext,
): Promise<TokenizeResult> {
  const { answer, ...timings } = await ask<TokenizeAnswer>(pool, context, '/tokenize', {
    prompt,
    add_special_tokens: addSpecialTokens,
    return_token_strs: returnTokenStrs,
  });
  return {
    ...pool.identity(),
    ...timings,
    tokens: answer.tokens,
    tokenStrs: answer.token_strs ?? null,
    maxModelLen: answer.max_model_len,
    promptTokens: answer.tokens.length,
    cacheHits: 0,
    truncated: [],
  };
}

/** The text of token ids. */
export async function runDetokenizeJob(
  { tokens }: DetokenizeJob,
  { lane: { pool }, tokenizer }: ServedModel,
  context: JobContext,
): Promise<DetokenizeResult> {
  if (tokenizer !== null) checkIds(tokens, tokenizer.vocabularySize, 'tokens');
  const { answer, ...timings } = await ask<{ prompt: string }>(pool, context, '/detokenize', { tokens });
  return {
    ...pool.identity(),
    ...timings,
    prompt: answer.prompt,
    promptTokens: tokens.length,
    cacheHits: 0,
    truncated: [],
  };
}

async function ask<Answer>(pool: UpstreamPool, context: JobContext, path: string, body: object) {
  const startedAt = performance.now();
  const upstreams: string[] = [];
  const answer = await pool.run(context.signal, async upstream => {
    upstreams.push(upstream.host);
    const pieces = await upstream.post(
      path,
      JSON.stringify({ model: upstream.model?.id, ...body }),
      context.signal,
    );
    return JSON.parse(Buffer.concat(pieces).toString()) as Answer;
  });
  return {
    answer,
    upstreams,
    queueMs: startedAt - context.arrivedAt,
    upstreamMs: performance.now() - startedAt,
  };
}
