import { BadRequestError } from '../engine-error.ts';
import type { Embedder } from '../model/embedder.ts';
import { relevance } from '../model/vector.ts';

/**
 * The relevance of each document to its query, in the documents' order, and the tokens of each pair: as for vLLM a query
 * counts once for each of its documents, although it is computed once. Queries and documents are 1:1, 1:N or N:N.
 */
export async function scorePairs(
  { queries, documents }: { queries: string[]; documents: string[] },
  embedder: Embedder,
  signal: AbortSignal,
): Promise<{ scores: number[]; tokens: number[] }> {
  if (queries.length === 0) throw new BadRequestError('At least one text element must be given');
  if (documents.length === 0) throw new BadRequestError('At least one text_pair element must be given');
  if (queries.length !== 1 && queries.length !== documents.length)
    throw new BadRequestError('Input lengths must be either 1:1, 1:N or N:N');

  const texts = [...new Set([...queries, ...documents])];
  const tokenLists = await embedder.tokenize(texts, signal);
  const vectors = await embedder.embed(tokenLists, signal);
  const rowOf = new Map(texts.map((text, row) => [text, row]));
  const scores: number[] = [];
  const tokens: number[] = [];
  documents.forEach((document, index) => {
    const queryRow = rowOf.get(queries[queries.length === 1 ? 0 : index] ?? '') ?? 0;
    const documentRow = rowOf.get(document) ?? 0;
    scores.push(relevance(vectors[queryRow] as Float32Array, vectors[documentRow] as Float32Array));
    tokens.push((tokenLists[queryRow]?.length ?? 0) + (tokenLists[documentRow]?.length ?? 0));
  });
  return { scores, tokens };
}
