import type { ScoreJob, ScoreResult } from '@er-gateway/shared/scheduler-protocol';
import { UpstreamFailure } from '../upstream/upstream-failure.ts';
import type { UpstreamPool } from '../upstream/upstream-pool.ts';
import type { JobContext } from './job-context.ts';

interface ScoreAnswer {
  model: string;
  data: { index: number; score: number }[];
  usage: { prompt_tokens: number };
}

/** Scores of the job's pairs, from one call. The template is applied by the server, which was started with ours. */
export async function runScoreJob(
  job: ScoreJob,
  pool: UpstreamPool,
  context: JobContext,
): Promise<ScoreResult> {
  const { result: answer, ...timings } = await context.timed(() =>
    pool.run(context.signal, async (upstream, model) => {
      const bytes = await upstream.post(
        '/score',
        {
          model,
          queries: job.queries.length === 1 ? job.queries[0] : job.queries,
          documents: job.documents,
          ...(job.instruction !== null && { instruction: job.instruction }),
        },
        context.signal,
      );
      return decodeScores(bytes, job.documents.length);
    }),
  );
  return { ...answer, engine: pool.status().engineLabel, cacheHits: 0, ...timings };
}

function decodeScores(bytes: Buffer, count: number) {
  let answer: ScoreAnswer;
  try {
    answer = JSON.parse(bytes.toString()) as ScoreAnswer;
  } catch (error) {
    throw new UpstreamFailure('nonsense', 'answered /score with nonsense', { cause: error });
  }
  const scores = new Array<number>(count).fill(Number.NaN);
  for (const { index, score } of answer.data ?? []) if (index >= 0 && index < count) scores[index] = score;
  if (!scores.every(Number.isFinite)) {
    throw new UpstreamFailure(
      'nonsense',
      `answered ${count} pairs with scores that are missing or not finite`,
    );
  }
  return { model: answer.model, promptTokens: answer.usage.prompt_tokens, scores };
}
