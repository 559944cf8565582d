import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Layers above which a checkpoint is taken for a trained one: Qwen3 0.6B has 28, checkpoints made for tests a few. */
const fewestRealLayers = 8;

/** What a checkpoint's config.json says of it; null and false where it cannot be read. */
export interface ModelFacts {
  /** Length of its vectors. */
  dimensions: number | null;
  hasRealWeights: boolean;
}

/** Reads the facts of the checkpoint in a folder. */
export function readModelFacts(folder: string): ModelFacts {
  try {
    const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Record<string, unknown>;
    const { hidden_size: size, num_hidden_layers: layers } = config;
    return {
      dimensions: typeof size === 'number' ? size : null,
      hasRealWeights: typeof layers === 'number' && layers >= fewestRealLayers,
    };
  } catch {
    return { dimensions: null, hasRealWeights: false };
  }
}
