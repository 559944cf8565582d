import type { TokenizerPool } from './tokenizer-pool.ts';

/** What the reranker is told to judge by when the caller does not say: the model card's instruction. */
export const defaultInstruction =
  'Given a web search query, retrieve relevant passages that answer the query';

/** Qwen's prompt in front of and behind what the caller gives. Must end in two line breaks: with one, scores are wrong. */
const head =
  '<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. ' +
  'Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>';
const tail = '<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n';

/**
 * Each text's place in the prompt. A line break never shares a token with a "<" after it, nor does NFC join them: what ends
 * in one can be tokenized apart from what begins with the other. Elsewhere tokens may span a text and what is around it.
 */
const placeOfInstruction = (instruction: string) => `user\n<Instruct>: ${instruction}\n`;
const placeOfQuery = (query: string) => `<Query>: ${query}\n`;
const placeOfDocument = (document: string) => `<Document>: ${document}`;

/** Token ids of a prompt without its document. A prompt is `front`, a query, a document and `back`, one after the other. */
export interface RerankFrame {
  /** The system's words and the instruction. */
  front: Int32Array;
  queries: Int32Array[];
  back: Int32Array;
}

/**
 * Token ids of what stands around the documents of Qwen's prompt. Callers' texts are plain text, whatever is in them;
 * otherwise the ids are those of the whole prompt tokenized as one string. Nothing is repeated: queries share the
 * instruction, and documents a query. An instruction that is empty or null is the model card's.
 */
export async function encodeRerankFrame(
  pool: TokenizerPool,
  { instruction, queries }: { instruction: string | null; queries: readonly string[] },
  signal?: AbortSignal,
): Promise<RerankFrame> {
  const template = await templateOf(pool);
  const texts = [placeOfInstruction(instruction || defaultInstruction), ...queries.map(placeOfQuery)];
  const [given = none, ...encoded] = await pool.encode(texts, signal);
  return { front: joinIds([template.head, given]), queries: encoded, back: template.tail };
}

/** Token ids of documents in Qwen's prompt. */
export function encodeRerankDocuments(
  pool: TokenizerPool,
  documents: readonly string[],
  signal?: AbortSignal,
): Promise<Int32Array[]> {
  return pool.encode(documents.map(placeOfDocument), signal);
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

/** One list of ids of several. */
export function joinIds(parts: readonly Int32Array[]): Int32Array<ArrayBuffer> {
  const joined = new Int32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let end = 0;
  for (const part of parts) {
    joined.set(part, end);
    end += part.length;
  }
  return joined;
}

const none = new Int32Array(0);
