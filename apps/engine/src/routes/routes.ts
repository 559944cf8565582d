import type { Route } from '../http/route.ts';
import { createEmbeddingsRoute } from './embeddings.ts';
import type { EngineContext } from './engine-context.ts';
import { createRerankRoute } from './rerank.ts';
import { createScoreRoute } from './score.ts';
import { createStatusRoutes } from './status.ts';
import { createTokenizeRoutes } from './tokenize.ts';

/** All routes of a role. vLLM's embedding server answers /rerank and /score too; ours leaves them to the reranker. */
export function createRoutes(context: EngineContext): Route[] {
  const work =
    context.role === 'embedding'
      ? [createEmbeddingsRoute(context)]
      : [createRerankRoute(context), createScoreRoute(context)];
  return [...createStatusRoutes(context), ...createTokenizeRoutes(context), ...work];
}
