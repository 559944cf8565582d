import type { EffectiveConfig } from '@er-gateway/shared/config/effective-config';
import { groupMembers } from '@er-gateway/shared/process-table';
import { type Gpu, gpuMemoryByPid, listGpus } from './gpus.ts';
import { type ModelView, modelViews } from './model-view.ts';
import type { Pm2Process } from './pm2.ts';

/** A model server with what costs more to find out. */
export interface ModelDetails extends ModelView {
  /** Times that PM2 started its supervisor again; null without one. */
  restarts: number | null;
  port: number;
  /** RAM of all its processes, in bytes; null when none runs. */
  memoryBytes: number | null;
  /** GPU memory that they hold and that was asked for, in MiB; null on the CPU, or where the driver does not say. */
  gpuMemoryUsedMebibytes: number | null;
  gpuMemoryAskedMebibytes: number | null;
}

/** Every model server of the system, with its memory and PM2's count of restarts. */
export async function modelDetails(
  config: EffectiveConfig,
  processes: readonly Pm2Process[],
): Promise<ModelDetails[]> {
  const views = await modelViews(config);
  const isOnGpu = views.some(({ gpu }) => gpu !== null);
  const [gpus, gpuMemory] = isOnGpu ? await Promise.all([listGpus(), gpuMemoryByPid()]) : [[], new Map()];
  return views.map(view => {
    const members = view.pid === null ? [] : groupMembers(view.pid);
    const held = members.map(({ pid }) => gpuMemory.get(pid)).filter(used => used !== undefined);
    return {
      ...view,
      restarts: processOf(processes, view)?.restarts ?? null,
      port: Number(new URL(view.url).port),
      memoryBytes: members.length === 0 ? null : sumOf(members.map(({ residentBytes }) => residentBytes)),
      gpuMemoryUsedMebibytes: held.length === 0 ? null : sumOf(held),
      gpuMemoryAskedMebibytes: askedOf(view, gpus),
    };
  });
}

/** The supervisor of a replica in PM2's list. */
function processOf(
  processes: readonly Pm2Process[],
  { role, replica }: Pick<ModelView, 'role' | 'replica'>,
): Pm2Process | undefined {
  return processes.find(({ name, instance }) => name === role && instance === replica);
}

function askedOf({ gpu, gpuMemoryShare }: ModelView, gpus: readonly Gpu[]): number | null {
  const total = gpus.find(({ index }) => index === gpu)?.memoryTotalMebibytes ?? null;
  return total === null || gpuMemoryShare === null ? null : total * gpuMemoryShare;
}

const sumOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);
