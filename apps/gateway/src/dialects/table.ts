import type { IncomingHttpHeaders } from 'node:http';
import { cohereEmbed, cohereEmbedV1 } from './cohere-embed.ts';
import type { Dialect } from './dialect.ts';
import { openaiEmbeddings } from './openai-embeddings.ts';
import { cohereRerankV2, rerankV1 } from './rerank.ts';
import { teiEmbed, teiRerank } from './tei.ts';
import { vllmScore } from './vllm-score.ts';
import { vllmDetokenize, vllmTokenize } from './vllm-tokenize.ts';
import { voyageEmbeddings } from './voyage-embeddings.ts';
import { isFromVoyage, isVoyages, voyageRerank } from './voyage-rerank.ts';

/** A path and the languages that are spoken on it. */
export interface DialectRoute {
  path: string;
  /** The path's usual dialect; errors before the body is known are in it. */
  dialect: Dialect;
  /** Others on the same path, and how they are recognised. */
  others?: readonly OtherDialect[];
}

interface OtherDialect {
  dialect: Dialect;
  when: (body: Record<string, unknown>, headers: IncomingHttpHeaders) => boolean;
}

const tei: OtherDialect = { dialect: teiRerank, when: body => 'texts' in body };
const voyage: OtherDialect = { dialect: voyageRerank, when: isVoyages };

/** Every route that does work for a model, and the language it speaks. */
export const dialectRoutes: DialectRoute[] = [
  {
    path: '/v1/embeddings',
    dialect: openaiEmbeddings,
    others: [{ dialect: voyageEmbeddings, when: (_body, headers) => isFromVoyage(headers) }],
  },
  { path: '/v1/embed', dialect: cohereEmbedV1 },
  { path: '/v2/embed', dialect: cohereEmbed },
  { path: '/embed', dialect: teiEmbed },
  { path: '/v1/rerank', dialect: rerankV1, others: [voyage] },
  { path: '/v2/rerank', dialect: cohereRerankV2 },
  { path: '/rerank', dialect: rerankV1, others: [tei, voyage] },
  { path: '/score', dialect: vllmScore },
  { path: '/v1/score', dialect: vllmScore },
  { path: '/tokenize', dialect: vllmTokenize },
  { path: '/detokenize', dialect: vllmDetokenize },
];

/** The dialect of a request on a route. */
export function dialectOf(
  { dialect, others = [] }: DialectRoute,
  body: Record<string, unknown>,
  headers: IncomingHttpHeaders,
): Dialect {
  return others.find(({ when }) => when(body, headers))?.dialect ?? dialect;
}
