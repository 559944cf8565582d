import type { EmbedJob, EmbedResult } from '@er-gateway/shared/scheduler-protocol';
import type { JobContext } from '../job-context.ts';
import { prepareEmbedding } from '../models/embedding-model.ts';
import type { ServedModel } from '../served-model.ts';
import { joinVectors } from '../vectors.ts';

/** Vectors of the job's inputs. */
export async function runEmbedJob(
  job: EmbedJob,
  { lane, tokenizer }: ServedModel,
  context: JobContext,
): Promise<EmbedResult> {
  const { signal } = context;
  const inputs = await prepareEmbedding(job.inputs, {
    tokenizer,
    maxTokens: lane.pool.maxInputTokens,
    signal,
  });
  const { results, ...outcome } = await lane.run(inputs, context);
  return {
    ...lane.pool.identity(),
    promptTokens: results.reduce((sum, { tokens }) => sum + tokens, 0),
    ...joinVectors(
      results.map(({ vector }) => vector as Uint8Array),
      job.dimensions,
    ),
    ...outcome,
  };
}
