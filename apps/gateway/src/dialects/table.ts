import { cohereEmbed } from './cohere-embed.ts';
import type { Dialect } from './dialect.ts';
import { openaiEmbeddings } from './openai-embeddings.ts';
import { cohereRerankV2, rerankV1 } from './rerank.ts';
import { teiEmbed, teiRerank } from './tei.ts';
import { vllmScore } from './vllm-score.ts';
import { vllmDetokenize, vllmTokenize } from './vllm-tokenize.ts';

/** The dialect of a body on a path that two dialects share. */
export interface DialectRoute {
  path: string;
  /** The path's usual dialect; errors before the body is known are in it. */
  dialect: Dialect;
  /** Another one that some bodies show. */
  otherwise?: { when: (body: Record<string, unknown>) => boolean; dialect: Dialect };
}

/** Every route that does work for a model, and the language it speaks. */
export const dialectRoutes: DialectRoute[] = [
  { path: '/v1/embeddings', dialect: openaiEmbeddings },
  { path: '/v2/embed', dialect: cohereEmbed },
  { path: '/embed', dialect: teiEmbed },
  { path: '/v1/rerank', dialect: rerankV1 },
  { path: '/v2/rerank', dialect: cohereRerankV2 },
  { path: '/rerank', dialect: rerankV1, otherwise: { when: body => 'texts' in body, dialect: teiRerank } },
  { path: '/score', dialect: vllmScore },
  { path: '/v1/score', dialect: vllmScore },
  { path: '/tokenize', dialect: vllmTokenize },
  { path: '/detokenize', dialect: vllmDetokenize },
];
