import { z } from 'zod';
import { jsonAnswer, type Route } from '../http/route.ts';
import { checkCharacters, checkVocabulary } from '../model/limits.ts';
import { modelFacts } from '../model/model-facts.ts';
import type { EngineContext } from './engine-context.ts';
import { commonFields, parseRequestBody } from './request-body.ts';

const tokenizeSchema = z.object({
  ...commonFields,
  prompt: z.string(),
  return_token_strs: z.boolean().nullish(),
});
const detokenizeSchema = z.object({ ...commonFields, tokens: z.array(z.int()) });

/** POST /tokenize and /detokenize, with the vocabulary of the model that really answers. It has no special tokens. */
export function createTokenizeRoutes({ servedName, embedder }: EngineContext): Route[] {
  const { tokenizer } = embedder;
  return [
    {
      method: 'POST',
      paths: ['/tokenize'],
      answer: ({ body }) => {
        const request = parseRequestBody(tokenizeSchema, body, servedName);
        const tokens = tokenizer.encode(checkCharacters(request.prompt));
        return jsonAnswer({
          count: tokens.length,
          max_model_len: modelFacts.maxModelLen,
          tokens,
          token_strs: request.return_token_strs ? tokens.map(token => tokenizer.pieceOf(token)) : null,
        });
      },
    },
    {
      method: 'POST',
      paths: ['/detokenize'],
      answer: ({ body }) => {
        const request = parseRequestBody(detokenizeSchema, body, servedName);
        return jsonAnswer({ prompt: tokenizer.decode(checkVocabulary(request.tokens)) });
      },
    },
  ];
}
