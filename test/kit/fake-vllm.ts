import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from './stack.ts';

/** The program that poses as vllm (test/fake-model/vllm.ts). */
export const fakeVllm = join(projectRoot, 'test/fake-model/vllm');

/** Settings with which a stack runs the fake vLLM for both models; `folder` takes the empty checkpoints. */
export function fakeVllmSettings(folder: string, change: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  mkdirSync(join(folder, 'model'), { recursive: true });
  return {
    ER_ENGINE: 'vllm',
    ER_VLLM_COMMAND: fakeVllm,
    ER_VLLM_DEVICE: 'cpu',
    ER_MODELS_EMBEDDING_PATH: join(folder, 'model'),
    ER_MODELS_RERANKER_PATH: join(folder, 'model'),
    ER_LIMITS_REQUESTS_PER_MINUTE: '10000000',
    ...change,
  };
}
