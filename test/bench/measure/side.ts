import type { Role } from '@er-gateway/shared/config/schema';
import { type Destination, type LoadPlan, type LoadSample, runLoad } from '../load/load.ts';
import type { BenchStack } from '../systems/bench-stack.ts';
import type { RealVllm } from '../systems/real-vllm.ts';
import { cpuSecondsOf } from './process-table.ts';

/** One way to a model: directly, or through something. */
export interface Side extends Destination {
  /** CPU seconds so far of the processes that matter, by name. */
  cpu: () => Record<string, number>;
  /** Calls and items that the scheduler has sent so far. */
  batches?: () => Promise<{ calls: number; items: number }>;
  /** Waits until nothing is under way. */
  settled?: () => Promise<void>;
}

/** A sample of load, with what it cost. */
export interface SideSample extends LoadSample {
  /** Texts or documents a second. */
  itemsPerSecond: number;
  /** CPU milliseconds for each text or document, by process. */
  cpuMsPerItem: Record<string, number>;
  /** Items in a call of the scheduler, on average. */
  meanBatch?: number;
}

/** CPU of a vLLM server: the process that serves HTTP, and the others. */
export const vllmCpu = (vllm: RealVllm) => ({
  vllmApi: cpuSecondsOf([vllm.apiPid]),
  vllmEngine: cpuSecondsOf(vllm.enginePids),
});

/** Straight to a vLLM server. */
export const directSide = (vllm: RealVllm, path: string): Side => ({
  url: `${vllm.url}${path}`,
  cpu: () => vllmCpu(vllm),
});

/** Through a gateway to a vLLM server. */
export const throughSide = (stack: BenchStack, vllm: RealVllm, role: Role, path: string): Side => ({
  url: `${stack.url}${path}`,
  headers: stack.headers,
  cpu: () => ({ ...vllmCpu(vllm), ...stack.cpu() }),
  batches: async () => (await stack.scheduler()).lanes[role],
  settled: stack.settled,
});

/** Runs load on a side and reckons what it cost; `itemsPerRequest` texts or documents are in each request. */
export async function measureSide(
  side: Side,
  plan: Omit<LoadPlan, keyof Destination>,
  itemsPerRequest = 1,
): Promise<SideSample> {
  const [cpuBefore, batchesBefore] = [side.cpu(), await side.batches?.()];
  const { url, headers = {} } = side;
  const load = await runLoad({ ...plan, url, headers });
  await side.settled?.();
  const [cpuAfter, batchesAfter] = [side.cpu(), await side.batches?.()];
  const items = load.requests * itemsPerRequest;
  const cpuMsPerItem = Object.fromEntries(
    Object.entries(cpuAfter).map(([name, seconds]) => [
      name,
      ((seconds - (cpuBefore[name] ?? 0)) * 1000) / items,
    ]),
  );
  return {
    ...load,
    itemsPerSecond: items / load.seconds,
    cpuMsPerItem,
    ...(batchesBefore && batchesAfter && { meanBatch: meanBatch(batchesBefore, batchesAfter) }),
  };
}

function meanBatch(before: { calls: number; items: number }, after: { calls: number; items: number }) {
  const calls = after.calls - before.calls;
  return calls === 0 ? 0 : (after.items - before.items) / calls;
}

/** One line on a sample, for the person who waits. */
export function describeSample({ itemsPerSecond, p50Ms, cpuMsPerItem, meanBatch }: SideSample): string {
  const cpu = Object.entries(cpuMsPerItem).map(([name, ms]) => `${name} ${ms.toFixed(3)}`);
  const batch = meanBatch === undefined ? '' : `, mean batch ${meanBatch.toFixed(1)}`;
  return `${Math.round(itemsPerSecond)}/s, p50 ${p50Ms.toFixed(1)} ms, CPU ms each: ${cpu.join(', ')}${batch}`;
}
