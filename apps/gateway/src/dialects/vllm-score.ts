import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { ScoreJob } from '@er-gateway/shared/scheduler-protocol';
import { z } from 'zod';
import { defineDialect } from './dialect.ts';
import { checkCount, modelName, priorityField, vllmTruncation, vllmTruncationFields } from './inputs.ts';
import { textOrTexts } from './lists.ts';
import { scoringFields, scoringOf } from './rerank-fields.ts';

const texts = (name: string) => textOrTexts(name).nullish();

const leftNames = ['queries', 'text_1', 'data_1'] as const;
const rightNames = ['documents', 'items', 'text_2', 'data_2'] as const;

const schema = z.object({
  model: modelName,
  queries: texts('queries'),
  documents: texts('documents'),
  items: texts('items'),
  text_1: texts('text_1'),
  text_2: texts('text_2'),
  data_1: texts('data_1'),
  data_2: texts('data_2'),
  priority: priorityField,
  ...scoringFields,
  ...vllmTruncationFields,
});

type ScoreRequest = z.infer<typeof schema>;

/** vLLM's `POST /score` and `/v1/score`: pairs 1:1, 1:N or N:N under its four spellings. */
export const vllmScore = defineDialect({
  name: 'vllm-score',
  summary: 'Scores of pairs for clients of vLLM',
  role: 'reranker',
  schema,
  example: { queries: 'What is AI?', documents: ['AI is artificial intelligence', 'AI helps humans'] },
  answer: z.object({
    id: z.string(),
    object: z.literal('list'),
    created: z.int(),
    model: z.string(),
    data: z.array(z.object({ index: z.int(), object: z.literal('score'), score: z.number() })),
    usage: z.object({ prompt_tokens: z.int(), total_tokens: z.int() }),
  }),
  modelOf: request => request.model ?? null,
  toJob: (request, { limits }): ScoreJob => {
    const left = sideOf(request, leftNames, 'text_1');
    const right = sideOf(request, rightNames, 'text_2');
    checkCount(left.texts.length, left.name, limits.inputs_per_request);
    checkCount(right.texts.length, right.name, limits.inputs_per_request);
    if (left.texts.length !== 1 && left.texts.length !== right.texts.length) {
      throw new RequestError(
        'invalid_request',
        `${left.texts.length} of ${left.name} and ${right.texts.length} of ${right.name} do not pair up: send one of ${left.name}, or as many as of ${right.name}.`,
        { param: left.name },
      );
    }
    return {
      kind: 'score',
      queries: left.texts,
      documents: right.texts,
      field: right.name,
      truncation: vllmTruncation(request),
      ...scoringOf(request),
    };
  },
  countInputs: job => job.documents.length,
  isBulk: request => (request.priority ?? 0) > 0,
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

/** One side of the pairs, under the name that it was sent by. Throws RequestError for none, and for two. */
function sideOf<Name extends (typeof leftNames)[number] | (typeof rightNames)[number]>(
  request: ScoreRequest,
  names: readonly Name[],
  modern: Name,
): { name: Name; texts: string[] } {
  const sent = names.filter(name => request[name] != null);
  const [name] = sent;
  if (name === undefined || sent.length > 1) {
    throw new RequestError(
      'invalid_request',
      name === undefined
        ? `${names.join(' or ')} is missing: a pair needs two sides.`
        : `${sent.join(' and ')} are the same side of the pairs. Send one of them.`,
      { param: name === undefined ? (names[0] ?? modern) : name },
    );
  }
  const value = request[name] as string | string[];
  return { name, texts: typeof value === 'string' ? [value] : value };
}
