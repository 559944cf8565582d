import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a real vLLM said of the nastiest texts; made by test/fixtures/record-tokenizer-corpus.ts. */
export interface TokenizerCorpus {
  /** Versions of what answered. */
  recordedFrom: string;
  texts: (CorpusText & Ids & { name: string })[];
  /** The whole prompt as one string, in which the server does find the template's control tokens. */
  rerankPrompts: (RerankPair & Ids)[];
  decoded: { tokens: number[]; text: string }[];
}

/** A text, or how to make it. */
export type CorpusText =
  | { text: string }
  | { repeat: string; times: number }
  /** Each character of a range in some surroundings. */
  | { from: number; to: number };

export interface RerankPair {
  instruction: string;
  query: string;
  document: string;
}

/** Token ids, or their number and digest when there are many. */
export type Ids = { tokens: number[] } | { count: number; sha256: string };

const fewIds = 400;

export function loadCorpus(): TokenizerCorpus {
  const file = join(import.meta.dirname, '../../fixtures/tokenizer-corpus.json');
  return JSON.parse(readFileSync(file, 'utf8')) as TokenizerCorpus;
}

export function expandText(entry: CorpusText): string {
  if ('text' in entry) return entry.text;
  if ('repeat' in entry) return entry.repeat.repeat(entry.times);
  let text = '';
  for (let at = entry.from; at <= entry.to; at += 1) {
    if (at >= 0xd800 && at <= 0xdfff) continue;
    const character = String.fromCodePoint(at);
    text += `a${character}b '${character} ${character}1${character}${character} \u0315${character}\u0321\n`;
  }
  return text;
}

export function summarizeIds(ids: readonly number[]): Ids {
  if (ids.length <= fewIds) return { tokens: [...ids] };
  return { count: ids.length, sha256: createHash('sha256').update(ids.join()).digest('hex') };
}
