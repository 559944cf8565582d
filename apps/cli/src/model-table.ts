import { relative } from 'node:path';
import { duration } from './duration.ts';
import type { ModelDetails } from './model-details.ts';
import { table } from './table.ts';

/** The model servers for people: a table of what is compared, and a line for each of what is read. */
export function modelTable(models: readonly ModelDetails[], root: string): string {
  const now = Date.now();
  const figures = table(
    [
      'model',
      'engine',
      'state',
      'since',
      'restarts',
      'pid',
      'port',
      'gpu',
      'memory',
      'calls',
      'inputs/s',
      'p50',
    ],
    models.map(model => [
      model.app,
      model.engineLabel ?? model.engine,
      model.state,
      model.since === null ? '-' : duration(now - model.since),
      `${model.restarts ?? '-'}`,
      `${model.pid ?? '-'}`,
      `${model.port || '-'}`,
      `${model.gpu ?? '-'}`,
      memoryOf(model),
      `${model.inFlight ?? '-'}`,
      model.inputsPerSecond === null ? '-' : model.inputsPerSecond.toFixed(1),
      model.p50Ms === null ? '-' : `${model.p50Ms.toFixed(0)} ms`,
    ]),
  );
  const notes = models.map(({ app, servedName, detail, lastError, logFile, url }) =>
    [
      `${app}: ${servedName}`,
      detail,
      lastError && `last error: ${lastError}`,
      logFile ? `log ${relative(root, logFile)}` : url,
    ]
      .filter(Boolean)
      .join('; '),
  );
  return [figures, '', ...notes].join('\n');
}

/** `71.2 of 72.0 GiB` on a GPU, what is used against what is asked; `4.4 GiB` of RAM on the CPU. */
function memoryOf({
  gpu,
  memoryBytes,
  gpuMemoryUsedMebibytes,
  gpuMemoryAskedMebibytes,
}: ModelDetails): string {
  const onGpu = (mebibytes: number | null) => (mebibytes === null ? '?' : (mebibytes / 1024).toFixed(1));
  if (gpu !== null) return `${onGpu(gpuMemoryUsedMebibytes)} of ${onGpu(gpuMemoryAskedMebibytes)} GiB`;
  return memoryBytes === null ? '-' : `${(memoryBytes / 1024 ** 3).toFixed(1)} GiB`;
}
