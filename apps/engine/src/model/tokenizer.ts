/** Pieces with their log probabilities; the index is the token id. */
export type Vocabulary = readonly (readonly [piece: string, score: number])[];

export interface Tokenizer {
  /** Token ids of a text; an empty text is one token, as an empty text is for vLLM (its end-of-text token). */
  encode: (text: string) => number[];
  /** The text of token ids. What was not in the vocabulary comes back as U+FFFD. */
  decode: (tokens: readonly number[]) => string;
  pieceOf: (token: number) => string | undefined;
}

/** Marks where a word begins. No piece has it anywhere but in front. */
const wordStart = '\u2581';
const unknownToken = 0;
/** Ids below are control tokens, which no text contains. */
const reservedTokens = 6;

/**
 * SentencePiece's unigram segmentation: the most probable sequence of pieces. Same ids as the tokenizer of
 * `@energetic-ai/embeddings`, which takes time in the square of the text's length (3 s for 28,000 characters); and
 * white space is folded first, as the model was trained, where that one makes an unknown token of a line break.
 */
export function createTokenizer(vocabulary: Vocabulary): Tokenizer {
  const prefixes = indexPrefixes(vocabulary);
  return {
    encode: text => {
      const folded = text.normalize('NFKC').replace(/\s+/g, ' ').trim();
      return dropRepeatedUnknown(segment(wordStart + folded.replaceAll(' ', wordStart), prefixes));
    },
    decode: tokens => {
      const text = tokens.map(token => vocabulary[token]?.[0] ?? '').join('');
      return text.replaceAll(wordStart, ' ').trimStart();
    },
    pieceOf: token => vocabulary[token]?.[0],
  };
}

interface Piece {
  token: number;
  score: number;
}

/** Every prefix of every piece; null where a prefix is no piece itself. A search stops at the first that is absent. */
function indexPrefixes(vocabulary: Vocabulary): Map<string, Piece | null> {
  const prefixes = new Map<string, Piece | null>();
  vocabulary.forEach(([piece, score], token) => {
    if (token < reservedTokens) return;
    for (let length = 1; length < piece.length; length++) {
      const prefix = piece.slice(0, length);
      if (!prefixes.has(prefix)) prefixes.set(prefix, null);
    }
    prefixes.set(piece, { token, score });
  });
  return prefixes;
}

/** Viterbi over UTF-16 units. Every unit that begins a piece is a piece itself, so each position can be reached. */
function segment(symbols: string, prefixes: Map<string, Piece | null>): number[] {
  const length = symbols.length;
  const bestScore = new Float64Array(length + 1).fill(Number.NEGATIVE_INFINITY);
  const bestStart = new Int32Array(length + 1);
  const bestToken = new Int32Array(length + 1);
  bestScore[0] = 0;
  const offer = (start: number, end: number, piece: Piece) => {
    const score = (bestScore[start] as number) + piece.score;
    if (score < (bestScore[end] as number)) return;
    bestScore[end] = score;
    bestStart[end] = start;
    bestToken[end] = piece.token;
  };
  for (let start = 0; start < length; start++) {
    let isKnown = false;
    for (let end = start + 1; end <= length; end++) {
      const piece = prefixes.get(symbols.slice(start, end));
      if (piece === undefined) break;
      if (piece === null) continue;
      isKnown = true;
      offer(start, end, piece);
    }
    if (!isKnown) offer(start, start + 1, { token: unknownToken, score: 0 });
  }
  const tokens: number[] = [];
  for (let end = length; end > 0; end = bestStart[end] as number) tokens.push(bestToken[end] as number);
  return tokens.reverse();
}

/** A run of unknown units is one unknown token, as in training. */
function dropRepeatedUnknown(tokens: number[]): number[] {
  return tokens.filter((token, index) => token !== unknownToken || tokens[index - 1] !== unknownToken);
}
