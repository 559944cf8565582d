import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import { BadRequestError } from '../engine-error.ts';
import type { Route } from '../http/route.ts';
import { modelFacts } from '../model/model-facts.ts';
import { cut } from '../model/vector.ts';
import type { EngineContext } from './engine-context.ts';
import { commonFields, parseRequestBody } from './request-body.ts';
import { countTokens, createdNow, usageOf } from './usage.ts';

const tokensField = z.array(z.int());
const bodySchema = z.object({
  ...commonFields,
  /** Most tokens of an input, the first ones stay; -1 is the model's length. */
  truncate_prompt_tokens: z.int().min(-1).nullish(),
  /** A text, a list of texts, token ids, or a list of lists of them. */
  input: z.union(
    [
      z.string().transform(text => [text]),
      tokensField.nonempty().transform(tokens => [tokens]),
      z.array(z.union([z.string(), tokensField])),
    ],
    'must be a string, a list of strings, or token ids',
  ),
  encoding_format: z.enum(['float', 'base64']).default('float'),
  embed_dtype: z.literal('float32').default('float32'),
  endianness: z.enum(['native', 'little']).default('native'),
  dimensions: z.int().nullish(),
});

/** Vectors that are written before other requests get a turn: about 10 ms as text. */
const vectorsPerTurn = 64;

/** POST /v1/embeddings. */
export function createEmbeddingsRoute({ servedName, embedder }: EngineContext): Route {
  return {
    method: 'POST',
    paths: ['/v1/embeddings'],
    answer: async ({ body, requestId, signal }) => {
      const request = parseRequestBody(bodySchema, body, servedName);
      const dimensions = request.dimensions ?? modelFacts.dimensions;
      checkDimensions(dimensions);
      if (request.input.length === 0) throw new BadRequestError('You must pass at least one prompt');
      const most = request.truncate_prompt_tokens ?? null;
      const tokenLists = await embedder.tokenize(request.input, signal, most);
      const vectors = await embedder.embed(tokenLists, signal);
      const head = { id: `embd-${requestId}`, object: 'list', created: createdNow(), model: modelFacts.name };
      const data = await renderVectors(
        vectors.map((vector, index) => ({
          vector: cut(vector, dimensions),
          tokens: tokenLists[index]?.length ?? 0,
        })),
        request.encoding_format === 'float' ? toJsonNumbers : toBase64,
        signal,
      );
      const usage = JSON.stringify(usageOf(countTokens(tokenLists)));
      return {
        contentType: 'application/json',
        body: `${JSON.stringify(head).slice(0, -1)},"data":[${data}],"usage":${usage}}`,
      };
    },
  };
}

/** The model was not trained for shorter vectors; a prefix of them still carries much (see design.md). */
function checkDimensions(dimensions: number): void {
  const { name, dimensions: most } = modelFacts;
  if (dimensions >= 1 && dimensions <= most) return;
  throw new BadRequestError(
    `Model '${name}' only supports dimensions in range [1, ${most}], got ${dimensions}.`,
  );
}

/**
 * `data` of the answer as JSON. Each item tells its own tokens, which vLLM does not: the scheduler puts items of several
 * callers in one call, and each is told its own usage.
 * A million numbers take a second to write: in turns, so that /health is answered.
 */
async function renderVectors(
  embedded: readonly { vector: Float32Array; tokens: number }[],
  toJson: (vector: Float32Array) => string,
  signal: AbortSignal,
): Promise<string> {
  const items: string[] = [];
  for (const [index, { vector, tokens }] of embedded.entries()) {
    items.push(
      `{"index":${index},"object":"embedding","embedding":${toJson(vector)},"prompt_tokens":${tokens}}`,
    );
    if (items.length % vectorsPerTurn !== 0) continue;
    await setImmediate();
    signal.throwIfAborted();
  }
  return items.join(',');
}

const toJsonNumbers = (vector: Float32Array) => `[${vector.join(',')}]`;
const toBase64 = ({ buffer, byteOffset, byteLength }: Float32Array) =>
  `"${Buffer.from(buffer, byteOffset, byteLength).toString('base64')}"`;
