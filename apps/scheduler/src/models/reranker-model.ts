import type { ScoreJob } from '@er-gateway/shared/scheduler-protocol';
import type { RerankFrame } from '../tokenize/reranker-prompt.ts';
import { cutTexts, fitDocuments } from './cut-texts.ts';
import {
  checkBytes,
  checkTotal,
  fieldOf,
  noRoom,
  type PreparedInputs,
  tooLong,
  tooLongAround,
} from './model-input.ts';
import type { ModelTokenizer, TokenizerWork } from './model-tokenizer.ts';
import { leavePairsToServer } from './server-texts.ts';

/**
 * Pairs as the server gets them: with a tokenizer as token ids of Qwen's template, filled in and tokenized here, so that
 * no server can leave it out; else as texts. Texts are cut before the template is filled, never the prompt: its end is
 * where the model answers. Each text is tokenized once, and what pairs have in common is shared, not repeated. Throws
 * RequestError naming what is too long: instruction, query or document.
 */
export async function preparePairs(
  job: ScoreJob,
  {
    tokenizer,
    maxTokens,
    work,
  }: { tokenizer: ModelTokenizer | null; maxTokens: number; work: TokenizerWork },
): Promise<PreparedInputs> {
  if (tokenizer === null) return leavePairsToServer(job, maxTokens);
  const { truncation } = job;
  const limit = Math.min(maxTokens, truncation?.maxTokens ?? maxTokens);
  const nameOf = (index: number) => fieldOf(job.field, index, job.documents.length);
  const queryOf = (index: number) => (job.queries.length === 1 ? 0 : index);
  const common = { tokenizer, limit, keep: truncation?.keep ?? ('start' as const), work };

  const queries = await cutTexts(job.queries, {
    ...common,
    most: job.maxTokensPerQuery,
    nameOf: () => 'query',
  });
  const frame = await frameOf(job, queries.texts, common);
  const documents = await cutTexts(job.documents, {
    ...common,
    most: job.maxTokensPerDocument,
    mayCut: truncation !== null,
    nameOf,
  });
  const encoded = await tokenizer.rerankDocuments(documents.texts, work);

  const around = frame.queries.map(query => frame.front.length + query.length + frame.back.length);
  const roomOf = (index: number) => limit - (around[queryOf(index)] ?? 0);
  const tooLongOnes = [...encoded.keys()].filter(index => (encoded[index]?.length ?? 0) > roomOf(index));
  const [first] = tooLongOnes;
  if (first !== undefined && truncation === null)
    throw tooLong(nameOf(first), limit - roomOf(first) + (encoded[first]?.length ?? 0), limit);
  const fitted = await fitDocuments(
    tooLongOnes.map(index => ({ text: documents.texts[index] ?? '', room: roomOf(index) })),
    common,
  );
  for (const [place, index] of tooLongOnes.entries()) {
    const ids = fitted[place];
    if (ids == null) throw noRoom(nameOf(index), limit);
    encoded[index] = ids;
  }

  const isCut = new Set([...documents.cut, ...tooLongOnes]);
  for (const index of job.documents.keys()) if (queries.cut.has(queryOf(index))) isCut.add(index);
  const inputs = encoded.map((document, index) => {
    const parts = [frame.front, frame.queries[queryOf(index)] as Int32Array, document, frame.back];
    return {
      input: { kind: 'parts' as const, parts },
      tokens: limit - roomOf(index) + document.length,
    };
  });
  checkTotal(inputs, job.field);
  return { inputs, truncated: [...isCut].sort((a, b) => a - b) };
}

/** What stands around the documents, each of its texts once. Refuses an instruction or a query that is too long by itself. */
async function frameOf(
  { instruction, queries: given }: ScoreJob,
  queries: readonly string[],
  { tokenizer, limit, work }: { tokenizer: ModelTokenizer; limit: number; work: TokenizerWork },
): Promise<RerankFrame> {
  checkBytes(instruction ?? '', limit, tokenizer.longestTokenBytes, 'instruction');
  const unique = [...new Set(queries)];
  const placeOf = new Map(unique.map((query, place) => [query, place]));
  const frame = await tokenizer.rerankFrame({ instruction, queries: unique }, work);
  const around = frame.front.length + frame.back.length;
  if (instruction && around > limit) throw tooLongAround('instruction', around, limit);
  for (const { length } of frame.queries)
    if (around + length > limit) throw tooLongAround('query', around + length, limit);
  return {
    ...frame,
    queries: given.map((_, index) => frame.queries[placeOf.get(queries[index] ?? '') ?? 0] as Int32Array),
  };
}
