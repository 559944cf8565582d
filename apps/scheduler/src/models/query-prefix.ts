import { defaultInstruction } from '../tokenize/reranker-prompt.ts';

/**
 * What stands before a query, to the letter: no space after `Query:` (model card of Qwen3-Embedding). In two parts, since no
 * token spans a line break and the letter after it: the instruction is tokenized once, however many queries there are.
 */
export const instructionBefore = (instruction: string | null) =>
  `Instruct: ${instruction || defaultInstruction}\n`;
export const label = 'Query:';
