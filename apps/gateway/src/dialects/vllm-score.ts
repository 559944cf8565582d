import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { ScoreJob } from '@er-gateway/shared/scheduler-protocol';
import { z } from 'zod';
import { defineDialect } from './dialect.ts';
import { checkCount, modelName } from './inputs.ts';

const texts = z.union([z.string(), z.array(z.string())], { error: 'must be a string or a list of strings' });

const schema = z.object({
  model: modelName,
  queries: texts.optional(),
  documents: texts.optional(),
  items: texts.optional(),
  text_1: texts.optional(),
  text_2: texts.optional(),
  data_1: texts.optional(),
  data_2: texts.optional(),
  instruction: z.string('instruction must be a string').nullish(),
});

type ScoreRequest = z.infer<typeof schema>;

/** vLLM's `POST /score` and `/v1/score`: pairs 1:1, 1:N or N:N under four spellings. */
export const vllmScore = defineDialect({
  name: 'vllm-score',
  role: 'reranker',
  schema,
  modelOf: request => request.model ?? null,
  toJob: (request, { limits }): ScoreJob => {
    const { left, right } = sidesOf(request);
    checkCount(right.length, 'documents', limits.inputs_per_request);
    if (left.length !== 1 && left.length !== right.length) {
      throw new RequestError(
        'invalid_request',
        `${left.length} queries and ${right.length} documents do not pair up: send one query, or as many as documents.`,
        { param: 'queries' },
      );
    }
    return { kind: 'score', queries: left, documents: right, instruction: request.instruction ?? null };
  },
  countInputs: job => job.documents.length,
  toAnswer: (result, _request, { requestId }) =>
    JSON.stringify({
      id: `score-${requestId}`,
      object: 'list',
      created: Math.floor(Date.now() / 1000),
      model: result.model,
      data: result.scores.map((score, index) => ({ index, object: 'score', score })),
      usage: { prompt_tokens: result.promptTokens, total_tokens: result.promptTokens },
    }),
});

function sidesOf(request: ScoreRequest): { left: string[]; right: string[] } {
  const left = request.queries ?? request.text_1 ?? request.data_1;
  const right = request.documents ?? request.items ?? request.text_2 ?? request.data_2;
  if (left === undefined || right === undefined) {
    throw new RequestError('invalid_request', 'Send queries and documents (or text_1 and text_2).', {
      param: left === undefined ? 'queries' : 'documents',
    });
  }
  const asList = (value: string | string[]) => (typeof value === 'string' ? [value] : value);
  return { left: asList(left), right: asList(right) };
}
