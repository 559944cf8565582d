import { readFileSync } from 'node:fs';
import { tokenize } from './tokenizer.ts';

/** Length of a vector before `dimensions` cuts it. */
export const hiddenSize = 1024;

/** The vector of these ids: a function of nothing else, unit length, of which `dimensions` keeps a renewed prefix. */
export function vectorOf(ids: number[], dimensions = hiddenSize): Float32Array {
  const next = randomNumbers(hashOf(ids));
  const vector = new Float32Array(dimensions);
  let squares = 0;
  for (let at = 0; at < dimensions; at++) {
    const value = next() - 0.5;
    vector[at] = value;
    squares += value * value;
  }
  const length = Math.sqrt(squares);
  return vector.map(value => value / length);
}

/** The raw logit difference of these ids, as a float32 between -6 and 6: a function of nothing else. */
export function logitOf(ids: number[]): number {
  return Math.fround(randomNumbers(hashOf(ids))() * 12 - 6);
}

/** The score of a logit, as a float32. */
export const scoreOf = (logit: number) => Math.fround(1 / (1 + Math.exp(-logit)));

/** Cosine of two texts' vectors: what vLLM answers when a rerank call reaches an embedding server. */
export function cosine(a: Float32Array, b: Float32Array): number {
  return Math.fround(a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0));
}

/** How a reranker makes one prompt of a query and a document. */
export type PairTemplate = (query: string, document: string, instruction: string | null) => string;

const defaultInstruction = 'Given a web search query, retrieve relevant passages that answer the query';
const system =
  'Judge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the ' +
  'answer can only be "yes" or "no".';

/**
 * Qwen3-Reranker's prompt. Of the template file only its end is read: Jinja drops one trailing newline, so a file that
 * has lost its last one gives other scores here too. Without a file query and document are glued together.
 */
export function loadPairTemplate(file: string | null): PairTemplate {
  if (file === null) return (query, document) => query + document;
  const newlines = /\n*$/.exec(readFileSync(file, 'utf8'))?.[0].length ?? 0;
  const ending = '\n'.repeat(Math.max(newlines - 1, 0));
  return (query, document, instruction) =>
    `<|im_start|>system\n${system}<|im_end|>\n<|im_start|>user\n<Instruct>: ${instruction || defaultInstruction}\n` +
    `<Query>: ${query}\n<Document>: ${document}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>${ending}`;
}

/** Ids of a pair as the reranker sees it. Its tokenizer appends nothing. */
export const pairIds = (
  template: PairTemplate,
  query: string,
  document: string,
  instruction: string | null,
) => tokenize(template(query, document, instruction));

/** FNV-1a over the ids. */
function hashOf(ids: number[]): number {
  let hash = 0x811c9dc5;
  for (const id of ids) hash = Math.imul(hash ^ id, 0x01000193);
  return hash ^ ids.length;
}

/** mulberry32: a repeatable stream of numbers from 0 to 1. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
