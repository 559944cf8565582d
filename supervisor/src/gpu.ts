import { setTimeout as delay } from 'node:timers/promises';
import { findProgram } from '@er-gateway/shared/config/effective-config';
import { outputOf, resultOf } from './child.ts';

/**
 * Indexes of the GPUs that nvidia-smi lists; none when there is no nvidia-smi, or it says that there are none. Throws when it
 * hangs or fails: a driver in trouble is no reason to serve from the CPU.
 */
export async function listGpus(environment: NodeJS.ProcessEnv): Promise<number[]> {
  const program = findProgram('nvidia-smi', environment);
  if (program === null) return [];
  const { code, stdout, stderr } = await resultOf(program, ['-L']);
  const lines = `${stdout}\n${stderr}`.split('\n').filter(line => line.trim() !== '');
  if (code === 0 || lines.some(line => /no devices/i.test(line))) return parseGpuList(stdout);
  throw new Error(
    `nvidia-smi fails: ${lines[0] ?? `exit code ${code}`} (mend the driver, or set ER_VLLM_DEVICE=cpu)`,
  );
}

/** Reads `nvidia-smi -L`: a line `GPU 0: NVIDIA H100 (UUID: …)` a GPU, its MIG slices indented below. */
export function parseGpuList(text: string): number[] {
  return [...text.matchAll(/^GPU (\d+):/gm)].map(match => Number(match[1]));
}

const pollMs = 500;
/** A driver needs seconds to give back what a killed process held; a foreign process may hold it for ever. */
const waitMs = 60_000;

/** The memory that a model server asks for, and who is told while it is waited for. */
export interface GpuMemoryWait {
  environment: NodeJS.ProcessEnv;
  gpu: number;
  /** Of the GPU's whole memory, 0 to 1. */
  share: number;
  onDetail: (detail: string) => void;
  stop: AbortSignal;
}

/**
 * Waits until the GPU has the memory free that a model server will ask for: the one before it may be dying. After a minute
 * the start is tried all the same, and vLLM says exactly what it lacks. Throws when `stop` aborts.
 */
export async function awaitGpuMemory({
  environment,
  gpu,
  share,
  onDetail,
  stop,
}: GpuMemoryWait): Promise<void> {
  const program = findProgram('nvidia-smi', environment);
  if (program === null) return;
  const query = ['--query-gpu=memory.free,memory.total', '--format=csv,noheader,nounits', '-i', String(gpu)];
  const deadline = performance.now() + waitMs;
  for (;;) {
    const memory = parseGpuMemory(await outputOf(program, query));
    if (memory === null || memory.freeMebibytes >= share * memory.totalMebibytes) return;
    const free = gibibytes(memory.freeMebibytes);
    const wanted = gibibytes(share * memory.totalMebibytes);
    onDetail(`waiting for GPU ${gpu}: ${free} GiB are free, ${wanted} are wanted`);
    if (performance.now() > deadline) return;
    await delay(pollMs, undefined, { signal: stop });
  }
}

/** Reads the row `free, total` in MiB; null where the driver does not say (`[N/A]`). */
export function parseGpuMemory(text: string): { freeMebibytes: number; totalMebibytes: number } | null {
  const [free, total] = text.trim().split(',').map(Number);
  if (free === undefined || total === undefined || !(free >= 0) || !(total > 0)) return null;
  return { freeMebibytes: free, totalMebibytes: total };
}

const gibibytes = (mebibytes: number) => (mebibytes / 1024).toFixed(1);
