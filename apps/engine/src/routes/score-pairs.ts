import { BadRequestError } from '../engine-error.ts';
import type { Embedder } from '../model/embedder.ts';
import { relevance } from '../model/vector.ts';

/** Most tokens of each text; null, undefined and 0 are all of them. */
interface PairLimits {
  max_tokens_per_query?: number | null | undefined;
  max_tokens_per_doc?: number | null | undefined;
}

/**
 * The relevance of each document to its query, in the documents' order, and the tokens of each pair: as for vLLM a query
 * counts once for each of its documents, although it is computed once. Queries and documents are 1:1, 1:N or N:N.
 */
export async function scorePairs(
  { queries, documents, limits }: { queries: string[]; documents: string[]; limits: PairLimits },
  embedder: Embedder,
  signal: AbortSignal,
): Promise<{ scores: number[]; tokens: number[] }> {
  if (queries.length === 0) throw new BadRequestError('At least one text element must be given');
  if (documents.length === 0) throw new BadRequestError('At least one text_pair element must be given');
  if (queries.length !== 1 && queries.length !== documents.length)
    throw new BadRequestError('Input lengths must be either 1:1, 1:N or N:N');

  const unique = { queries: [...new Set(queries)], documents: [...new Set(documents)] };
  const tokenLists = [
    ...(await embedder.tokenize(unique.queries, signal, limits.max_tokens_per_query || null)),
    ...(await embedder.tokenize(unique.documents, signal, limits.max_tokens_per_doc || null)),
  ];
  const vectors = await embedder.embed(tokenLists, signal);
  const rowOfQuery = new Map(unique.queries.map((text, row) => [text, row]));
  const rowOfDocument = new Map(unique.documents.map((text, row) => [text, unique.queries.length + row]));
  const scores: number[] = [];
  const tokens: number[] = [];
  documents.forEach((document, index) => {
    const queryRow = rowOfQuery.get(queries[queries.length === 1 ? 0 : index] ?? '') ?? 0;
    const documentRow = rowOfDocument.get(document) ?? 0;
    scores.push(relevance(vectors[queryRow] as Float32Array, vectors[documentRow] as Float32Array));
    tokens.push((tokenLists[queryRow]?.length ?? 0) + (tokenLists[documentRow]?.length ?? 0));
  });
  return { scores, tokens };
}
