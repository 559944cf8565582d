import type { TokenizerPool } from './tokenizer-pool.ts';

/** What the reranker is told to judge by when the caller does not say: the model card's instruction. */
export const defaultInstruction =
  'Given a web search query, retrieve relevant passages that answer the query';

/** Qwen's prompt in front of and behind what the caller gives. Must end in two line breaks: with one, scores are wrong. */
const head =
  '<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. ' +
  'Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>';
const tail = '<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n';

/** Each pair's place in the prompt. Between two control tokens all is one text, as tokens may span its parts. */
const userStart = (instruction: string, query: string) =>
  `user\n<Instruct>: ${instruction}\n<Query>: ${query}\n`;
const userEnd = (document: string) => `<Document>: ${document}`;

export interface RerankPrompts {
  /** Empty or null is the model card's. */
  instruction: string | null;
  pairs: readonly (readonly [query: string, document: string])[];
}

/**
 * Token ids of the reranker's prompt for each pair, in Qwen's template. Callers' texts are plain text, whatever is in
 * them; otherwise the ids are those of the whole prompt tokenized as one string.
 */
export async function buildRerankPrompts(
  pool: TokenizerPool,
  { instruction, pairs }: RerankPrompts,
  signal?: AbortSignal,
): Promise<Int32Array[]> {
  const template = await templateOf(pool);
  // A line break never shares a token with a "<" after it, nor does NFC join them: starts can be tokenized apart.
  const indexOfQuery = new Map<string, number>();
  for (const [query] of pairs) if (!indexOfQuery.has(query)) indexOfQuery.set(query, indexOfQuery.size);
  const starts = [...indexOfQuery.keys()].map(query => userStart(instruction || defaultInstruction, query));
  const encoded = await pool.encode([...starts, ...pairs.map(([, document]) => userEnd(document))], signal);
  return pairs.map(([query], index) =>
    joinIds([
      template.head,
      encoded[indexOfQuery.get(query) ?? 0] ?? none,
      encoded[starts.length + index] ?? none,
      template.tail,
    ]),
  );
}

interface Template {
  head: Int32Array;
  tail: Int32Array;
}

const templates = new WeakMap<TokenizerPool, Promise<Template>>();

function templateOf(pool: TokenizerPool): Promise<Template> {
  const known = templates.get(pool);
  if (known !== undefined) return known;
  const made = Promise.all([encodeWithControlTokens(pool, head), encodeWithControlTokens(pool, tail)]).then(
    ([headIds, tailIds]) => ({ head: headIds, tail: tailIds }),
  );
  templates.set(pool, made);
  return made;
}

/** Ids of a text of ours, in which names of control tokens do mean them. */
async function encodeWithControlTokens(pool: TokenizerPool, text: string): Promise<Int32Array> {
  const parts = text.split(/(<\|im_start\|>|<\|im_end\|>|<think>|<\/think>)/);
  const encoded = await pool.encode(parts);
  return joinIds(
    parts.map((part, index) => {
      if (index % 2 === 0) return encoded[index] ?? none;
      const id = pool.specialTokens.get(part);
      if (id === undefined)
        throw new Error(`the reranker's tokenizer has no token ${part}, which its prompt needs`);
      return Int32Array.of(id);
    }),
  );
}

function joinIds(parts: readonly Int32Array[]): Int32Array {
  const joined = new Int32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let end = 0;
  for (const part of parts) {
    joined.set(part, end);
    end += part.length;
  }
  return joined;
}

const none = new Int32Array(0);
