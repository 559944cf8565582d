import type { EmbedJob, EmbedResult } from '@er-gateway/shared/scheduler-protocol';
import { UpstreamFailure } from '../upstream/upstream-failure.ts';
import type { UpstreamPool } from '../upstream/upstream-pool.ts';
import { cutVectors } from '../vectors.ts';
import type { JobContext } from './job-context.ts';

interface EmbeddingsAnswer {
  model: string;
  data: { index: number; embedding: string }[];
  usage: { prompt_tokens: number };
}

/** Vectors of the job's inputs, from one call in base64 (a quarter of JSON's bytes, and no number parsing). */
export async function runEmbedJob(
  job: EmbedJob,
  pool: UpstreamPool,
  context: JobContext,
): Promise<EmbedResult> {
  const { result: answer, ...timings } = await context.timed(() =>
    pool.run(context.signal, async (upstream, model) => {
      const bytes = await upstream.post(
        '/v1/embeddings',
        { model, input: job.inputs, encoding_format: 'base64' },
        context.signal,
      );
      return decodeEmbeddings(bytes, job.inputs.length);
    }),
  );
  const { vectors, dimensions } = cutVectors(answer.vectors, answer.dimensions, job.dimensions);
  return {
    model: answer.model,
    engine: pool.status().engineLabel,
    promptTokens: answer.promptTokens,
    cacheHits: 0,
    dimensions,
    vectors,
    ...timings,
  };
}

/** Checks everything that a caller relies on: count, order, one size, finite numbers. Throws UpstreamFailure. */
function decodeEmbeddings(bytes: Buffer, count: number) {
  let answer: EmbeddingsAnswer;
  let parts: Buffer[];
  try {
    answer = JSON.parse(bytes.toString()) as EmbeddingsAnswer;
    const ordered = [...answer.data].sort((a, b) => a.index - b.index);
    parts = ordered.map(item => Buffer.from(item.embedding, 'base64'));
  } catch (error) {
    throw new UpstreamFailure('nonsense', 'answered /v1/embeddings with nonsense', { cause: error });
  }
  const size = parts[0]?.length ?? 0;
  if (parts.length !== count || size === 0 || size % 4 !== 0 || parts.some(part => part.length !== size)) {
    throw new UpstreamFailure(
      'nonsense',
      `answered ${count} inputs with ${parts.length} vectors, or of odd sizes`,
    );
  }
  const vectors = new Float32Array((count * size) / 4);
  const view = Buffer.from(vectors.buffer);
  parts.forEach((part, index) => {
    view.set(part, index * size);
  });
  if (!vectors.every(Number.isFinite))
    throw new UpstreamFailure('nonsense', 'answered with numbers that are not finite');
  return { model: answer.model, promptTokens: answer.usage.prompt_tokens, dimensions: size / 4, vectors };
}
