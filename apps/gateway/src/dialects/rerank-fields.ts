import type { ScoreResult } from '@er-gateway/shared/scheduler-protocol';
import { z } from 'zod';
import { only } from './inputs.ts';
import { instructionFields, instructionOf } from './purpose.ts';

/** How many tokens are read of each query and document. 0 is all of them, as in vLLM. */
const maxTokens = (name: string) =>
  z.int(`${name} must be an integer`).min(0, `${name} must not be negative`).nullish().meta({
    description: 'Tokens that are read of it, cut before the template is filled; 0 or absent: all.',
  });

/** Fields that rerank and score requests of several dialects share. */
export const scoringFields = {
  max_tokens_per_query: maxTokens('max_tokens_per_query'),
  max_tokens_per_doc: maxTokens('max_tokens_per_doc'),
  use_activation: only('use_activation', true),
  chat_template_kwargs: z
    .strictObject(
      { instruction: z.string().nullish() },
      { error: 'chat_template_kwargs can hold "instruction" here, and nothing else' },
    )
    .nullish(),
  ...instructionFields,
};

type ScoringRequest = { [name in keyof typeof scoringFields]?: z.infer<(typeof scoringFields)[name]> };

/** Those as a job has them. */
export const scoringOf = (request: ScoringRequest) => ({
  instruction: request.chat_template_kwargs?.instruction || instructionOf(request),
  maxTokensPerQuery: request.max_tokens_per_query || null,
  maxTokensPerDocument: request.max_tokens_per_doc || null,
});

/** A document's place in the request, and its score. */
export interface Ranked {
  index: number;
  score: number;
}

/** The scores from best to worst, equal ones in the order of their documents; 0 or nothing asks for all. */
export function best(result: ScoreResult, topN: number | null | undefined): Ranked[] {
  const ranked = result.scores.map((score, index) => ({ index, score })).sort((a, b) => b.score - a.score);
  return topN ? ranked.slice(0, topN) : ranked;
}
