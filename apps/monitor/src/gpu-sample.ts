import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** One GPU as nvidia-smi sees it; null where it does not say (MIG, old drivers). */
export interface GpuSample {
  index: number;
  name: string;
  /** Share of the last second in which a kernel ran, 0 to 1. */
  utilization: number | null;
  memoryUsedBytes: number | null;
  memoryTotalBytes: number | null;
  temperatureCelsius: number | null;
  powerWatts: number | null;
}

const fields = 'index,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw,name';

/** Every GPU of this host; none when there is no nvidia-smi, or it fails. */
export async function readGpus(command = 'nvidia-smi'): Promise<GpuSample[]> {
  try {
    const { stdout } = await promisify(execFile)(
      command,
      [`--query-gpu=${fields}`, '--format=csv,noheader,nounits'],
      { timeout: 5000, killSignal: 'SIGKILL' },
    );
    return parseGpuRows(stdout);
  } catch {
    return [];
  }
}

/** Rows of `nvidia-smi --format=csv,noheader,nounits` (percent, MiB, Celsius, watts). */
export function parseGpuRows(csv: string): GpuSample[] {
  return csv
    .split('\n')
    .filter(line => /^\d+,/.test(line))
    .map(line => {
      const [index, utilization, used, total, temperature, power, ...name] = line
        .split(',')
        .map(cell => cell.trim());
      return {
        index: Number(index),
        name: name.join(', '),
        utilization: numberIn(utilization, percent => percent / 100),
        memoryUsedBytes: numberIn(used, toBytes),
        memoryTotalBytes: numberIn(total, toBytes),
        temperatureCelsius: numberIn(temperature),
        powerWatts: numberIn(power),
      };
    });
}

const toBytes = (mebibytes: number) => mebibytes * 1024 ** 2;

/** The cell's number; null for `[N/A]`, `[Not Supported]` and the like. */
function numberIn(cell: string | undefined, convert = (value: number) => value): number | null {
  const value = Number.parseFloat(cell ?? '');
  return Number.isFinite(value) ? convert(value) : null;
}
