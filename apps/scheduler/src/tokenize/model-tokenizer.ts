import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ModelTokenizer } from '../models/model-tokenizer.ts';
import { joinIds } from './join-ids.ts';
import { encodeRerankDocuments, encodeRerankFrame } from './reranker-prompt.ts';
import { openTokenizerPool } from './tokenizer-pool.ts';

/** Qwen3's vocabulary with its unused places, which vLLM accepts as ids; for folders without a config.json. */
const qwen3VocabularySize = 151_936;

/** What Qwen3-Embedding ends each text with; some copies of its tokenizer.json do not say so. */
const embeddingEnding = '<|endoftext|>';

/**
 * The tokenizer of the model in whose folder `tokenizerFile` is. An embedding model's texts end with the last token that its
 * authors trained it with, also where the file forgets it. Rejects when it cannot be read exactly.
 */
export async function openModelTokenizer(
  tokenizerFile: string,
  { isEmbedding = false }: { isEmbedding?: boolean } = {},
): Promise<ModelTokenizer> {
  const pool = await openTokenizerPool({ tokenizerFile });
  const declared = pool.appendSpecialTokens(none);
  const forgotten =
    isEmbedding && declared.length === 0 ? pool.specialTokens.get(embeddingEnding) : undefined;
  const appended = forgotten === undefined ? declared : Int32Array.of(forgotten);
  const isComplete = (ids: ArrayLike<number>) =>
    ids.length >= appended.length &&
    appended.every((id, index) => ids[ids.length - appended.length + index] === id);
  return {
    vocabularySize: readVocabularySize(dirname(tokenizerFile)),
    forgottenEnding: forgotten === undefined ? null : embeddingEnding,
    longestTokenBytes: pool.longestTokenBytes,
    encode: (texts, work) => pool.encode(texts, work),
    tokenize: async (prompt, addSpecialTokens, { signal, keyId }) => {
      const [ids = none] = await pool.encode([prompt], { signal, keyId, findsControlTokens: true });
      return addSpecialTokens ? pool.appendSpecialTokens(ids) : ids;
    },
    namesOf: ids => pool.namesOf(ids),
    decode: ids => pool.decode(ids),
    complete: ids => {
      const own = ids instanceof Int32Array ? ids : Int32Array.from(ids);
      if (isComplete(own)) return own;
      return forgotten === undefined ? pool.appendSpecialTokens(own) : joinIds([own, appended]);
    },
    rerankFrame: (texts, work) => encodeRerankFrame(pool, texts, work),
    rerankDocuments: (documents, work) => encodeRerankDocuments(pool, documents, work),
    close: () => pool.close(),
  };
}

function readVocabularySize(folder: string): number {
  try {
    const { vocab_size: size } = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
    return typeof size === 'number' ? size : qwen3VocabularySize;
  } catch {
    return qwen3VocabularySize;
  }
}

const none = new Int32Array();
