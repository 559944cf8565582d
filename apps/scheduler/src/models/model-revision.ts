import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Layers above which a checkpoint is taken for a trained one: Qwen3 0.6B has 28, checkpoints made for tests a few. */
const fewestRealLayers = 8;

/**
 * A name for the weights in a folder: changes when a file of the checkpoint does. Empty when there is no such folder
 * (servers run by somebody else).
 */
export function modelRevision(folder: string): string {
  try {
    return readdirSync(folder)
      .filter(name => /\.(safetensors|bin|json)$/.test(name))
      .sort()
      .map(name => {
        const { size, mtimeMs } = statSync(join(folder, name));
        return `${name}:${size}:${Math.round(mtimeMs)}`;
      })
      .join(',');
  } catch {
    return '';
  }
}

/** Whether the folder holds a trained model, whose scores mean something. */
export function hasRealWeights(folder: string): boolean {
  try {
    const { num_hidden_layers: layers } = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
    return typeof layers === 'number' && layers >= fewestRealLayers;
  } catch {
    return false;
  }
}
