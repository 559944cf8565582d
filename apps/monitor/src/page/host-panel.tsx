import type { AdminStatus } from '../admin-status.ts';
import { bytes, decimals, duration, orDash, percent, whole } from './format.ts';
import { Panel, Share } from './parts.tsx';

type Gpu = AdminStatus['gpus'][number];

/** CPU, memory and network of this host, and its GPUs. */
export function HostPanel({ status: { system, gpus } }: { status: AdminStatus }) {
  const perSecond = (value: number) => `${bytes(value)}/s`;
  return (
    <Panel title="Host and GPUs" {...(system && { note: `up ${duration(system.uptimeSeconds * 1000)}` })}>
      {system && (
        <>
          <Share
            label={`CPU, ${system.cpu.cores} cores`}
            share={system.cpu.busy}
            text={`${percent(system.cpu.busy)}, load ${decimals(1)(system.cpu.loadAverage[0] ?? 0)}`}
          />
          <Share
            label="Memory"
            share={1 - system.memory.availableBytes / system.memory.totalBytes}
            text={`${bytes(system.memory.totalBytes - system.memory.availableBytes)} of ${bytes(system.memory.totalBytes)}`}
          />
          <p class="quiet">
            Network in {orDash(system.network.receivedBytesPerSecond, perSecond)}, out{' '}
            {orDash(system.network.sentBytesPerSecond, perSecond)}
          </p>
        </>
      )}
      {gpus.map(gpu => (
        <GpuRows key={gpu.index} gpu={gpu} />
      ))}
      {gpus.length === 0 && <p class="quiet">nvidia-smi names no GPU on this host.</p>}
    </Panel>
  );
}

function GpuRows({ gpu }: { gpu: Gpu }) {
  const { index, name, utilization, memoryUsedBytes: used, memoryTotalBytes: total } = gpu;
  const heat = `${orDash(gpu.temperatureCelsius, value => `${whole(value)} °C`)}, ${orDash(gpu.powerWatts, value => `${whole(value)} W`)}`;
  return (
    <div class="gpu">
      <h3>
        GPU {index}{' '}
        <small class="quiet">
          {name}, {heat}
        </small>
      </h3>
      <Share label={`GPU ${index} busy`} share={utilization} />
      <Share
        label={`GPU ${index} memory`}
        share={used !== null && total ? used / total : null}
        text={`${orDash(used, bytes)} of ${orDash(total, bytes)}`}
      />
    </div>
  );
}
