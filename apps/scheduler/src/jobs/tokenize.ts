import type {
  DetokenizeJob,
  DetokenizeResult,
  TokenizeJob,
  TokenizeResult,
} from '@er-gateway/shared/scheduler-protocol';
import type { JobContext } from '../job-context.ts';
import type { UpstreamPool } from '../upstream/upstream-pool.ts';

/** The prompt's token ids as the model server says them, special-token text included. */
export async function runTokenizeJob(
  job: TokenizeJob,
  pool: UpstreamPool,
  context: JobContext,
): Promise<TokenizeResult> {
  const { answer, ...timings } = await ask<{ tokens: number[]; max_model_len: number }>(
    pool,
    context,
    '/tokenize',
    {
      prompt: job.prompt,
      add_special_tokens: job.addSpecialTokens,
    },
  );
  return {
    ...pool.identity(),
    ...timings,
    tokens: answer.tokens,
    maxModelLen: answer.max_model_len,
    promptTokens: answer.tokens.length,
    cacheHits: 0,
  };
}

/** The text of token ids. */
export async function runDetokenizeJob(
  job: DetokenizeJob,
  pool: UpstreamPool,
  context: JobContext,
): Promise<DetokenizeResult> {
  const { answer, ...timings } = await ask<{ prompt: string }>(pool, context, '/detokenize', {
    tokens: job.tokens,
  });
  return {
    ...pool.identity(),
    ...timings,
    prompt: answer.prompt,
    promptTokens: job.tokens.length,
    cacheHits: 0,
  };
}

async function ask<Answer>(pool: UpstreamPool, context: JobContext, path: string, body: object) {
  const startedAt = performance.now();
  const answer = await pool.run(context.signal, async upstream => {
    const bytes = await upstream.post(
      path,
      JSON.stringify({ model: upstream.model?.id, ...body }),
      context.signal,
    );
    return JSON.parse(bytes.toString()) as Answer;
  });
  return { answer, queueMs: startedAt - context.arrivedAt, upstreamMs: performance.now() - startedAt };
}
