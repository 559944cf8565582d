import type {
  DetokenizeJob,
  DetokenizeResult,
  TokenizeJob,
  TokenizeResult,
} from '@er-gateway/shared/scheduler-protocol';
import type { JobContext } from '../job-context.ts';
import { checkBytes, checkIds, tooLong } from '../models/model-input.ts';
import type { ServedModel } from '../served-model.ts';
import type { UpstreamPool } from '../upstream/upstream-pool.ts';

/** What vLLM answers to /tokenize. */
interface TokenizeAnswer {
  tokens: number[];
  token_strs?: string[] | null;
  max_model_len: number;
}

/** Characters for each token of the model's length above which vLLM refuses a text unread. */
const mostCharactersPerToken = 128;

/** The prompt's token ids as the model server says them, special-token text included; counted here when we can. */
export async function runTokenizeJob(
  { prompt, addSpecialTokens, returnTokenStrs }: TokenizeJob,
  { lane: { pool }, tokenizer }: ServedModel,
  context: JobContext,
): Promise<TokenizeResult> {
  const maxModelLen = pool.maxInputTokens;
  checkBytes(prompt, maxModelLen, tokenizer?.longestTokenBytes ?? mostCharactersPerToken, 'prompt');
  if (tokenizer !== null) {
    const tokens = Array.from(await tokenizer.tokenize(prompt, addSpecialTokens, context));
    const tokenStrs = returnTokenStrs ? tokenizer.namesOf(tokens) : null;
    return { ...answeredHere(pool, context), tokens, tokenStrs, maxModelLen, promptTokens: tokens.length };
  }
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
  if (tokens.length > pool.maxInputTokens) throw tooLong('tokens', tokens.length, pool.maxInputTokens);
  if (tokenizer !== null) {
    checkIds(tokens, tokenizer.vocabularySize, 'tokens');
    const prompt = await tokenizer.decode(tokens);
    return { ...answeredHere(pool, context), prompt, promptTokens: tokens.length };
  }
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

/** What a result says of work that no model server had a part in. */
function answeredHere(pool: UpstreamPool, { arrivedAt }: JobContext) {
  const queueMs = performance.now() - arrivedAt;
  return { ...pool.identity(), upstreams: [], queueMs, upstreamMs: 0, cacheHits: 0, truncated: [] };
}

async function ask<Answer>(pool: UpstreamPool, context: JobContext, path: string, body: object) {
  const { signal, arrivedAt } = context;
  const upstreams: string[] = [];
  let startedAt = arrivedAt;
  const answer = await pool.run(signal, async upstream => {
    if (upstreams.length === 0) startedAt = performance.now();
    upstreams.push(upstream.host);
    const question = JSON.stringify({ model: upstream.model?.id, ...body });
    const answer = await upstream.post(path, question, signal);
    return JSON.parse(answer.toString()) as Answer;
  });
  return { answer, upstreams, queueMs: startedAt - arrivedAt, upstreamMs: performance.now() - startedAt };
}
