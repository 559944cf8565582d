import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { bytesOfEntry, characterOfByte } from './byte-alphabet.ts';
import { createMergeTable, type Merge } from './merge-table.ts';
import { qwenPattern } from './split-pieces.ts';
import { sharedInt32Array, type TokenizerTables } from './tokenizer-tables.ts';

/** The parts of tokenizer.json that matter for ids; `truncation` and `padding` are the caller's business, as in vLLM. */
interface TokenizerFile {
  normalizer: unknown;
  pre_tokenizer: { type?: unknown; pretokenizers?: unknown[] } | null;
  post_processor: PostProcessor | null;
  decoder: { type?: unknown } | null;
  added_tokens?: { id: number; content: string }[];
  model: {
    type: string;
    vocab: Record<string, number>;
    /** `"a b"` in older files. */
    merges: (string | [string, string])[];
    [option: string]: unknown;
  };
}

interface PostProcessor {
  type: string;
  processors?: PostProcessor[];
  single?: ({ Sequence: { id: string } } | { SpecialToken: { id: string } })[];
  special_tokens?: Record<string, { ids: number[] }>;
}

/**
 * Reads a tokenizer.json. Throws an Error that names the file and what is wrong with it when it is missing, or has
 * anything but what Qwen3 has (NFC, Qwen's pattern, byte-level BPE): other kinds would give wrong ids without a sign.
 */
export function readTokenizerFile(file: string): TokenizerTables {
  let content: TokenizerFile;
  try {
    content = JSON.parse(readFileSync(file, 'utf8')) as TokenizerFile;
  } catch (error) {
    throw new Error(`cannot read the tokenizer ${file}: ${(error as Error).message}`, { cause: error });
  }
  try {
    checkKind(content);
    return makeTables(content);
  } catch (error) {
    throw new Error(`cannot use the tokenizer ${file}: ${(error as Error).message}`, { cause: error });
  }
}

function checkKind({ normalizer, pre_tokenizer, decoder, model }: TokenizerFile): void {
  expectSame('model.type', model?.type, 'BPE');
  for (const option of ['dropout', 'unk_token', 'continuing_subword_prefix', 'end_of_word_suffix'])
    expectSame(`model.${option}`, model[option] || null, null);
  for (const option of ['fuse_unk', 'byte_fallback', 'ignore_merges'])
    expectSame(`model.${option}`, model[option] || false, false);
  expectSame('normalizer', normalizer, { type: 'NFC' });
  expectSame('pre_tokenizer.type', pre_tokenizer?.type, 'Sequence');
  const [split, byteLevel, ...others] = pre_tokenizer?.pretokenizers ?? [];
  expectSame('pre_tokenizer.pretokenizers[0]', split, {
    type: 'Split',
    pattern: { Regex: qwenPattern },
    behavior: 'Isolated',
    invert: false,
  });
  expectSame('pre_tokenizer.pretokenizers[1]', withoutOffsets(byteLevel), {
    type: 'ByteLevel',
    add_prefix_space: false,
    use_regex: false,
  });
  expectSame('further pre_tokenizers', others, []);
  expectSame('decoder.type', decoder?.type, 'ByteLevel');
}

function expectSame(name: string, found: unknown, expected: unknown): void {
  if (isDeepStrictEqual(found, expected)) return;
  throw new Error(
    `its ${name} is ${JSON.stringify(found)}, where only ${JSON.stringify(expected)} (Qwen3's) is understood`,
  );
}

/** `trim_offsets` says where tokens lie in the text, not which they are. */
function withoutOffsets(byteLevel: unknown): unknown {
  const { trim_offsets, ...rest } = (byteLevel ?? {}) as Record<string, unknown>;
  return rest;
}

function makeTables({ model, added_tokens = [], post_processor }: TokenizerFile): TokenizerTables {
  const { vocab } = model;
  const specialTokens = new Map(added_tokens.map(({ content, id }) => [content, id]));
  const merges: Merge[] = model.merges.map(merge => {
    const [left = '', right = ''] = typeof merge === 'string' ? merge.split(' ') : merge;
    return { left: idOf(vocab, left), right: idOf(vocab, right), merged: idOf(vocab, left + right) };
  });
  const idOfByte = sharedInt32Array(256);
  idOfByte.set(characterOfByte.map(character => idOf(vocab, character)));
  return {
    merges: createMergeTable(merges),
    idOfByte,
    ...layOutBytes(vocab, specialTokens),
    specialTokens,
    specialIds: specialIdsOf(post_processor),
  };
}

function idOf(vocab: Record<string, number>, entry: string): number {
  const id = vocab[entry];
  if (id === undefined) throw new Error(`its vocabulary lacks ${JSON.stringify(entry)}, which it needs`);
  return id;
}

/** Bytes of all tokens; an id that stands for nothing has none. */
function layOutBytes(vocab: Record<string, number>, specialTokens: ReadonlyMap<string, number>) {
  const bytesOfId: Uint8Array[] = [];
  for (const [entry, id] of Object.entries(vocab)) bytesOfId[id] = bytesOfEntry(entry) ?? Buffer.from(entry);
  for (const [text, id] of specialTokens) bytesOfId[id] = Buffer.from(text);
  const tokenEnds = sharedInt32Array(bytesOfId.length);
  let end = 0;
  for (let id = 0; id < bytesOfId.length; id += 1) {
    end += bytesOfId[id]?.length ?? 0;
    tokenEnds[id] = end;
  }
  const tokenBytes = new Uint8Array(new SharedArrayBuffer(end));
  bytesOfId.forEach((bytes, id) => {
    tokenBytes.set(bytes, (tokenEnds[id] ?? 0) - bytes.length);
  });
  return { tokenBytes, tokenEnds };
}

/** What the post-processor adds around a single text. Throws for a kind whose additions are unknown. */
function specialIdsOf(processor: PostProcessor | null): TokenizerTables['specialIds'] {
  const added: TokenizerTables['specialIds'] = { before: [], after: [] };
  if (processor === null || processor.type === 'ByteLevel') return added;
  if (processor.type === 'Sequence') {
    const parts = (processor.processors ?? []).map(specialIdsOf);
    return {
      before: parts.toReversed().flatMap(part => part.before),
      after: parts.flatMap(part => part.after),
    };
  }
  expectSame('post_processor.type', processor.type, 'TemplateProcessing');
  const single = processor.single ?? [];
  const textAt = single.findIndex(part => 'Sequence' in part);
  const idsIn = (parts: typeof single) =>
    parts.flatMap(part =>
      'SpecialToken' in part ? (processor.special_tokens?.[part.SpecialToken.id]?.ids ?? []) : [],
    );
  return { before: idsIn(single.slice(0, textAt)), after: idsIn(single.slice(textAt + 1)) };
}
