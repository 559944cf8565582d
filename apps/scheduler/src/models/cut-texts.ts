import type { Truncation } from '@er-gateway/shared/scheduler-protocol';
import { loopTurns } from '../loop-turns.ts';
import { checkBytes, worthReading } from './model-input.ts';
import type { ModelTokenizer, TokenizerWork } from './model-tokenizer.ts';

type Keep = Truncation['keep'];

interface Cutting {
  tokenizer: ModelTokenizer;
  /** Which end of a text stays. */
  keep: Keep;
  work: TokenizerWork;
}

/**
 * Texts cut to at most `most` tokens each (null: all of them), and the places of those that were cut. A text that may not
 * be cut and is too long whatever its tokens are is refused unread; of one that may, no more than can stay is read.
 */
export async function cutTexts(
  given: readonly string[],
  {
    tokenizer,
    keep,
    work,
    limit,
    most,
    mayCut = false,
    nameOf,
  }: Cutting & {
    limit: number;
    most: number | null;
    /** Whether it may be cut to the model's length, later. */
    mayCut?: boolean;
    nameOf: (index: number) => string;
  },
): Promise<{ texts: string[]; cut: Set<number> }> {
  const { longestTokenBytes } = tokenizer;
  const maxTokens = Math.min(most ?? limit, limit);
  const texts = given.map((text, index) => {
    if (most !== null || mayCut) return worthReading(text, { maxTokens, longestTokenBytes, keep });
    checkBytes(text, limit, longestTokenBytes, nameOf(index));
    return text;
  });
  if (most !== null) {
    const encoded = await tokenizer.encode(texts, work);
    const giveTurn = loopTurns();
    for (const [index, ids] of encoded.entries()) {
      if (ids.length > most) texts[index] = await textOfSome(ids, most, { tokenizer, keep });
      await giveTurn();
    }
  }
  return { texts, cut: new Set([...given.keys()].filter(index => texts[index] !== given[index])) };
}

/**
 * Token ids of documents in Qwen's prompt, each with as much of its text as fits into its room; null when nothing does. A
 * text that was cut may have other tokens than the ones that were kept, so it is counted again. All of them go to the
 * tokenizer at once: 2,048 in turn would hold the event loop for seconds.
 */
export async function fitDocuments(
  documents: readonly { text: string; room: number }[],
  { tokenizer, keep, work }: Cutting,
): Promise<(Int32Array | null)[]> {
  const fitted = new Array<Int32Array | null>(documents.length).fill(null);
  if (documents.length === 0) return fitted;
  const encoded = await tokenizer.encode(
    documents.map(({ text }) => text),
    work,
  );
  const [label = new Int32Array()] = await tokenizer.rerankDocuments([''], work);
  let open = documents.map(({ room }, place) => ({
    place,
    room,
    kept: Math.min(encoded[place]?.length ?? 0, room - label.length),
  }));
  const giveTurn = loopTurns();
  for (;;) {
    open = open.filter(({ kept }) => kept > 0);
    if (open.length === 0) return fitted;
    const texts: string[] = [];
    for (const { place, kept } of open) {
      texts.push(await textOfSome(encoded[place] as Int32Array, kept, { tokenizer, keep }));
      await giveTurn();
    }
    const counted = await tokenizer.rerankDocuments(texts, work);
    for (const [at, one] of open.entries()) {
      const ids = counted[at] as Int32Array;
      if (ids.length <= one.room) fitted[one.place] = ids;
      one.kept = ids.length <= one.room ? 0 : one.kept - (ids.length - one.room);
    }
  }
}

/** The text of so many tokens of one end. A character of which only some bytes are in them is left out. */
async function textOfSome(
  ids: Int32Array,
  count: number,
  { tokenizer, keep }: { tokenizer: ModelTokenizer; keep: Keep },
): Promise<string> {
  const text = await tokenizer.decode(keep === 'start' ? ids.subarray(0, count) : ids.subarray(-count));
  let [start, end] = [0, text.length];
  if (keep === 'start') while (end > start && text[end - 1] === brokenCharacter) end -= 1;
  else while (start < end && text[start] === brokenCharacter) start += 1;
  return text.slice(start, end);
}

/** What bytes become that are no whole character. Looked for by hand: an expression takes quadratic time over a run of them. */
const brokenCharacter = '\ufffd';
