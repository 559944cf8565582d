import { findProgram } from '@er-gateway/shared/config/effective-config';
import { outputOf } from './child.ts';

/** Indexes of the GPUs that nvidia-smi lists; none when there is no nvidia-smi or no driver. Throws when it hangs. */
export async function listGpus(environment: NodeJS.ProcessEnv): Promise<number[]> {
  const program = findProgram('nvidia-smi', environment);
  return program === null ? [] : parseGpuList(await outputOf(program, ['-L']));
}

/** Reads `nvidia-smi -L`: a line `GPU 0: NVIDIA H100 (UUID: …)` a GPU, its MIG slices indented below. */
export function parseGpuList(text: string): number[] {
  return [...text.matchAll(/^GPU (\d+):/gm)].map(match => Number(match[1]));
}
