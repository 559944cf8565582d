import type { Dialect } from './dialect.ts';
import { openaiEmbeddings } from './openai-embeddings.ts';

/**
 * `POST /v1/embeddings` from Voyage's own client: as OpenAI's, but inputs that are too long are cut unless `truncation` is
 * false, as Voyage does. By its fields alone such a request cannot be told from one of OpenAI's clients.
 */
export const voyageEmbeddings: Dialect = {
  ...openaiEmbeddings,
  name: 'voyage',
  toJob: (request, context) => {
    const { truncation } = request as { truncation?: boolean | null };
    return openaiEmbeddings.toJob({ ...(request as object), truncation: truncation ?? true }, context);
  },
};
