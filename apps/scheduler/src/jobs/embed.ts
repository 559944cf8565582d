import type { EmbedJob, EmbedResult } from '@er-gateway/shared/scheduler-protocol';
import type { JobContext } from '../job-context.ts';
import { prepareEmbedding } from '../models/embedding-model.ts';
import type { ServedModel } from '../served-model.ts';
import { joinVectors } from '../vectors.ts';

/** Vectors of the job's inputs. */
export async function runEmbedJob(
  job: EmbedJob,
  { lane, tokenizer, endingOfServer }: ServedModel,
  context: JobContext,
): Promise<EmbedResult> {
  const { pool } = lane;
  const isBuiltin = pool.identity().engine.startsWith('builtin');
  const { inputs, truncated } = await prepareEmbedding(job, {
    tokenizer,
    maxTokens: pool.maxInputTokens,
    isBuiltin,
    // The built-in model's texts end in nothing.
    ...(!isBuiltin && { endingOfServer }),
    work: context,
  });
  const { results, ...outcome } = await lane.run(inputs, { ...context, field: job.field });
  return {
    ...pool.identity(),
    promptTokens: results.reduce((sum, { tokens }) => sum + tokens, 0),
    truncated,
    ...joinVectors(
      results.map(({ vector }) => vector as Uint8Array),
      job.dimensions,
    ),
    ...outcome,
  };
}
