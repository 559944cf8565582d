import type { ModelTokenizer } from '../models/model-tokenizer.ts';

export async function openModelTokenizer(_file: string): Promise<ModelTokenizer> {
  throw new Error('not yet');
}
