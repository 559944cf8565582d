/** Size of Qwen3's vocabulary; ids from here on are refused. */
export const vocabularySize = 151936;

/** What Qwen3-Embedding's tokenizer appends to every text. */
export const endOfTextId = 151643;

const specialIds = new Map([
  ['<|endoftext|>', endOfTextId],
  ['<|im_start|>', 151644],
  ['<|im_end|>', 151645],
  ['<think>', 151667],
  ['</think>', 151668],
]);
const specialTexts = new Map([...specialIds].map(([text, id]) => [id, text]));
const specialPattern = /(<\|endoftext\|>|<\|im_start\|>|<\|im_end\|>|<think>|<\/think>)/;

/** Ids below this are single bytes, ids above are pairs of bytes. */
const firstPairId = 256;

/**
 * A simple, reversible stand-in for Qwen3's tokenizer: two bytes of UTF-8 a token, Qwen3's ids for special tokens. Its
 * counts are NOT those of Qwen3.
 */
export function tokenize(text: string): number[] {
  return text.split(specialPattern).flatMap(part => {
    const special = specialIds.get(part);
    return special === undefined ? pairsOfBytes(Buffer.from(part)) : [special];
  });
}

/** The text of these ids; ids that only the real tokenizer knows become their number. */
export function detokenize(ids: number[]): string {
  return Buffer.concat(
    ids.map(id => {
      const special = specialTexts.get(id);
      if (special !== undefined) return Buffer.from(special);
      if (id < firstPairId) return Buffer.from([id]);
      const pair = id - firstPairId;
      return pair < 65536 ? Buffer.from([pair >> 8, pair & 255]) : Buffer.from(`<${id}>`);
    }),
  ).toString();
}

function pairsOfBytes(bytes: Buffer): number[] {
  const ids: number[] = [];
  for (let at = 0; at + 1 < bytes.length; at += 2) ids.push(firstPairId + bytes.readUInt16BE(at));
  if (bytes.length % 2 === 1) ids.push(bytes.readUInt8(bytes.length - 1));
  return ids;
}
