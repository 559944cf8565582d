import type { EmbedJob, ScoreJob, Truncation } from '@er-gateway/shared/scheduler-protocol';
import { z } from 'zod';
import { jsonList } from '../wire/json-parts.ts';
import { floatsAsJson, vectorsOf } from '../wire/vectors-text.ts';
import { defineDialect } from './dialect.ts';
import { teiErrors } from './error-shapes.ts';
import { checkCount, dimensionsField, flag, listInputs, only, openaiInput, textField } from './inputs.ts';
import { isText, listOf } from './lists.ts';
import { instructionFields, instructionOf, purposeField, queryOf } from './purpose.ts';
import { best } from './rerank-fields.ts';

const truncationFields = {
  truncate: flag('truncate').nullish(),
  truncation_direction: z
    .enum(['Left', 'Right', 'left', 'right'], { error: 'truncation_direction must be "Left" or "Right"' })
    .nullish()
    .meta({ description: 'The side that is cut off; Right when absent.' }),
};

function truncationOf({
  truncate,
  truncation_direction: direction,
}: {
  truncate?: boolean | null | undefined;
  truncation_direction?: string | null | undefined;
}): Truncation | null {
  if (!truncate) return null;
  return { maxTokens: null, keep: direction?.toLowerCase() === 'left' ? 'end' : 'start' };
}

/** Hugging Face text-embeddings-inference, `POST /embed`: vectors as a bare list of lists. */
export const teiEmbed = defineDialect({
  name: 'tei-embed',
  summary: 'Embeddings for clients of Hugging Face text-embeddings-inference',
  role: 'embedding',
  schema: z.object({
    inputs: openaiInput('inputs'),
    ...truncationFields,
    prompt_name: purposeField('prompt_name'),
    normalize: only('normalize', true),
    dimensions: dimensionsField('dimensions').nullish(),
    ...instructionFields,
  }),
  example: { inputs: ['Hello, world!'], truncate: true },
  answer: z.array(z.array(z.number())),
  modelOf: () => null,
  toJob: (request, { limits }): EmbedJob => {
    const inputs = listInputs(request.inputs, 'inputs', limits.inputs_per_request);
    return {
      kind: 'embed',
      inputs,
      field: 'inputs',
      dimensions: request.dimensions ?? null,
      query: queryOf(request.prompt_name, instructionOf(request), { field: 'prompt_name', inputs }),
      truncation: truncationOf(request),
      addSpecialTokens: true,
    };
  },
  countInputs: job => job.inputs.length,
  *toAnswer(result) {
    let separator = '[';
    for (const bytes of vectorsOf(result)) {
      yield separator;
      separator = ',';
      yield floatsAsJson(bytes);
    }
    yield ']';
  },
  errors: teiErrors,
});

/** TEI's `POST /rerank`: scores as a bare list, best first. */
export const teiRerank = defineDialect({
  name: 'tei-rerank',
  summary: 'Rerank for clients of Hugging Face text-embeddings-inference (by texts)',
  role: 'reranker',
  schema: z.object({
    query: textField('query').min(1, 'query is empty'),
    texts: listOf<string>('texts', {
      what: 'a list of strings',
      check: isText,
      items: { type: 'string' },
    }).meta({ minItems: 1 }),
    ...truncationFields,
    return_text: flag('return_text').nullish(),
    raw_scores: only('raw_scores', false),
    ...instructionFields,
  }),
  example: { query: 'What is AI?', texts: ['AI is artificial intelligence', 'AI helps humans'] },
  answer: z.array(z.object({ index: z.int(), score: z.number(), text: z.string().optional() })),
  modelOf: () => null,
  toJob: (request, { limits }): ScoreJob => {
    checkCount(request.texts.length, 'texts', limits.inputs_per_request);
    return {
      kind: 'score',
      queries: [request.query],
      documents: request.texts,
      field: 'texts',
      instruction: instructionOf(request),
      truncation: truncationOf(request),
      maxTokensPerQuery: null,
      maxTokensPerDocument: null,
    };
  },
  countInputs: job => job.documents.length,
  toAnswer: (result, { texts, return_text: isReturning }) =>
    jsonList(best(result, 0), ({ index, score }) => ({
      index,
      score,
      ...(isReturning && { text: texts[index] }),
    })),
  errors: teiErrors,
});
