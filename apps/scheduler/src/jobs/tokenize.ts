import type {
  DetokenizeJob,
  DetokenizeResult,
  TokenizeJob,
  TokenizeResult,
} from '@er-gateway/shared/scheduler-protocol';
import type { UpstreamPool } from '../upstream/upstream-pool.ts';
import type { JobContext } from './job-context.ts';

/** The prompt's token ids, asked from the model server. */
export async function runTokenizeJob(
  job: TokenizeJob,
  pool: UpstreamPool,
  context: JobContext,
): Promise<TokenizeResult> {
  const { result, ...timings } = await context.timed(() =>
    pool.run(context.signal, async (upstream, model) => {
      const body = { model, prompt: job.prompt, add_special_tokens: job.addSpecialTokens };
      const answer = JSON.parse(String(await upstream.post('/tokenize', body, context.signal)));
      return answer as { tokens: number[]; max_model_len: number };
    }),
  );
  return {
    ...baseOf(pool),
    tokens: result.tokens,
    maxModelLen: result.max_model_len,
    promptTokens: result.tokens.length,
    ...timings,
  };
}

/** The text of token ids, asked from the model server. */
export async function runDetokenizeJob(
  job: DetokenizeJob,
  pool: UpstreamPool,
  context: JobContext,
): Promise<DetokenizeResult> {
  const { result, ...timings } = await context.timed(() =>
    pool.run(context.signal, async (upstream, model) => {
      const answer = JSON.parse(
        String(await upstream.post('/detokenize', { model, tokens: job.tokens }, context.signal)),
      );
      return answer as { prompt: string };
    }),
  );
  return { ...baseOf(pool), prompt: result.prompt, promptTokens: job.tokens.length, ...timings };
}

function baseOf(pool: UpstreamPool) {
  const { modelName, servedName, engineLabel } = pool.status();
  return { model: modelName ?? servedName, engine: engineLabel, cacheHits: 0 };
}
