import type { ScoreJob, ScoreResult } from '@er-gateway/shared/scheduler-protocol';
import type { JobContext } from '../job-context.ts';
import { preparePairs } from '../models/reranker-model.ts';
import type { ServedModel } from '../served-model.ts';

/** Scores of the job's pairs. */
export async function runScoreJob(
  job: ScoreJob,
  { lane, tokenizer }: ServedModel,
  context: JobContext,
): Promise<ScoreResult> {
  const { inputs, truncated } = await preparePairs(job, {
    tokenizer,
    maxTokens: lane.pool.maxInputTokens,
    work: context,
  });
  const { results, ...outcome } = await lane.run(inputs, { ...context, field: job.field });
  return {
    ...lane.pool.identity(),
    promptTokens: results.reduce((sum, { tokens }) => sum + tokens, 0),
    truncated,
    scores: results.map(({ score }) => score as number),
    ...outcome,
  };
}
