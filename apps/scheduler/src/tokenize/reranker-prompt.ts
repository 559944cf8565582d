import { joinIds } from './join-ids.ts';
import type { EncodeOptions, TokenizerPool } from './tokenizer-pool.ts';

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

/** The whole prompt of one pair as a text, with the model card's instruction. */
export const rerankPromptText = (query: string, document: string) =>
  head + placeOfInstruction(defaultInstruction) + placeOfQuery(query) + placeOfDocument(document) + tail;

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
  options?: EncodeOptions,
): Promise<RerankFrame> {
  const template = await templateOf(pool);
  const texts = [placeOfInstruction(instruction || defaultInstruction), ...queries.map(placeOfQuery)];
  const [given = none, ...encoded] = await pool.encode(texts, options);
  return { front: joinIds([template.head, given]), queries: encoded, back: template.tail };
}

/** Token ids of documents in Qwen's prompt. */
export function encodeRerankDocuments(
  pool: TokenizerPool,
  documents: readonly string[],
  options?: EncodeOptions,
): Promise<Int32Array[]> {
  return pool.encode(documents.map(placeOfDocument), options);
}

interface Template {
  head: Int32Array;
  tail: Int32Array;
}

const templates = new WeakMap<TokenizerPool, Promise<Template>>();

function templateOf(pool: TokenizerPool): Promise<Template> {
  const known = templates.get(pool);
  if (known !== undefined) return known;
  const made = pool.encode([head, tail], { findsControlTokens: true }).then(([headIds, tailIds]) => {
    for (const name of `${head}${tail}`.match(/<\|\w+\|>|<\/?think>/g) ?? []) {
      if (!pool.specialTokens.has(name))
        throw new Error(`the reranker's tokenizer has no token ${name}, which its prompt needs`);
    }
    return { head: headIds ?? none, tail: tailIds ?? none };
  });
  templates.set(pool, made);
  return made;
}

const none = new Int32Array(0);
