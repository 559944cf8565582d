import { BadRequestError, ContextTooLongError } from '../engine-error.ts';
import { modelFacts } from './model-facts.ts';

/** vLLM's bound on texts that are not even tokenized, in UTF-16 units a token. */
const maxCharactersPerToken = 128;
export const maxCharacters = maxCharactersPerToken * modelFacts.maxModelLen;

/** Throws BadRequestError for a text that cannot be short enough, before the work of tokenizing it. */
export function checkCharacters(text: string): string {
  const { maxModelLen } = modelFacts;
  if (text.length > maxCharacters) throw ContextTooLongError.ofText(text.length, maxCharacters, maxModelLen);
  return text;
}

/** Throws BadRequestError when the tokens are more than the model takes, or none. */
export function checkLength(tokens: number[]): number[] {
  const { maxModelLen } = modelFacts;
  if (tokens.length === 0) throw new BadRequestError('The decoder prompt cannot be empty');
  if (tokens.length > maxModelLen) throw ContextTooLongError.ofTokens(tokens.length, maxModelLen);
  return tokens;
}

/** Throws BadRequestError when one of the ids is not in the vocabulary. */
export function checkVocabulary(tokens: number[]): number[] {
  const stranger = tokens.find(token => token < 0 || token >= modelFacts.vocabularySize);
  if (stranger !== undefined) throw new BadRequestError(`Token id ${stranger} is out of vocabulary`);
  return tokens;
}
