import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** One GPU by nvidia-smi; null where the driver does not say. */
export interface Gpu {
  index: number;
  name: string;
  driver: string;
  utilizationPercent: number | null;
  memoryUsedMebibytes: number | null;
  memoryTotalMebibytes: number | null;
}

/** Every GPU of this machine; none when there is no nvidia-smi, or it fails. */
export async function listGpus(): Promise<Gpu[]> {
  const fields = 'index,driver_version,utilization.gpu,memory.used,memory.total,name';
  return (await query([`--query-gpu=${fields}`])).map(
    ([index, driver, utilization, used, total, ...name]) => ({
      index: Number(index),
      driver: driver ?? '',
      name: name.join(', '),
      utilizationPercent: numberIn(utilization),
      memoryUsedMebibytes: numberIn(used),
      memoryTotalMebibytes: numberIn(total),
    }),
  );
}

/** MiB of GPU memory that each process holds; those of which the driver does not say it (`[N/A]`) are left out. */
export async function gpuMemoryByPid(): Promise<Map<number, number>> {
  return parseGpuMemory(await query(['--query-compute-apps=pid,used_gpu_memory']));
}

/** Reads the rows `pid, MiB`. */
export function parseGpuMemory(rows: readonly (readonly string[])[]): Map<number, number> {
  return new Map(
    rows.flatMap(([pid, used]) => {
      const mebibytes = numberIn(used);
      return mebibytes === null ? [] : [[Number(pid), mebibytes] as const];
    }),
  );
}

async function query(args: string[]): Promise<string[][]> {
  try {
    const { stdout } = await promisify(execFile)('nvidia-smi', [...args, '--format=csv,noheader,nounits'], {
      timeout: 5000,
      killSignal: 'SIGKILL',
    });
    const rows = stdout.split('\n').filter(line => /^\d+,/.test(line));
    return rows.map(row => row.split(',').map(cell => cell.trim()));
  } catch {
    return [];
  }
}

/** The cell's number; null for `[N/A]` and the like. */
function numberIn(cell: string | undefined): number | null {
  const value = Number.parseFloat(cell ?? '');
  return Number.isFinite(value) ? value : null;
}
