import { createCounter, createGauge } from '@er-gateway/shared/metrics/create-metric';
import type { Registry } from 'prom-client';
import type { GpuSample } from './gpu-sample.ts';
import type { SystemSample } from './system-sample.ts';

/** Where the samples of this host come from; null when one is not to be had in time. */
export interface HostSamples {
  system: () => Promise<SystemSample | null>;
  gpus: () => Promise<GpuSample[] | null>;
}

/** The metrics of this host and its GPUs, in the monitor's registry: sampled when they are asked for. */
export function createHostMetrics(registry: Registry, { system, gpus }: HostSamples): void {
  const hostGauge = (name: HostGauge, pick: (sample: SystemSample) => number | undefined) =>
    createGauge(registry, name, async gauge => {
      const sample = await system();
      const value = sample && pick(sample);
      if (typeof value === 'number') gauge.set(value);
    });
  hostGauge('er_host_cpus', ({ cpu }) => cpu.cores);
  hostGauge('er_host_cpu_utilization', ({ cpu }) => cpu.busy);
  hostGauge('er_host_load_1m', ({ cpu }) => cpu.loadAverage[0]);
  hostGauge('er_host_memory_total_bytes', ({ memory }) => memory.totalBytes);
  hostGauge('er_host_memory_available_bytes', ({ memory }) => memory.availableBytes);

  const networkCounter = (name: NetworkCounter, totalOf: (sample: SystemSample) => number) => {
    let counted: number | null = null;
    createCounter(registry, name, async counter => {
      const sample = await system();
      if (sample === null) return;
      const total = totalOf(sample);
      // Less than before: an interface is gone. What came with it was counted.
      counter.inc(counted === null ? 0 : Math.max(0, total - counted));
      counted = total;
    });
  };
  networkCounter('er_host_network_received_bytes_total', ({ network }) => network.receivedBytes);
  networkCounter('er_host_network_sent_bytes_total', ({ network }) => network.sentBytes);

  const gpuGauge = (name: GpuGauge, pick: (sample: GpuSample) => number | null) =>
    createGauge(registry, name, async gauge => {
      const samples = (await gpus()) ?? [];
      gauge.reset();
      for (const sample of samples) {
        const value = pick(sample);
        if (value !== null) gauge.set({ gpu: String(sample.index) }, value);
      }
    });
  gpuGauge('er_gpu_utilization', ({ utilization }) => utilization);
  gpuGauge('er_gpu_memory_used_bytes', ({ memoryUsedBytes }) => memoryUsedBytes);
  gpuGauge('er_gpu_memory_total_bytes', ({ memoryTotalBytes }) => memoryTotalBytes);
  gpuGauge('er_gpu_temperature_celsius', ({ temperatureCelsius }) => temperatureCelsius);
  gpuGauge('er_gpu_power_watts', ({ powerWatts }) => powerWatts);
}

type HostGauge =
  | 'er_host_cpus'
  | 'er_host_cpu_utilization'
  | 'er_host_load_1m'
  | 'er_host_memory_total_bytes'
  | 'er_host_memory_available_bytes';
type NetworkCounter = 'er_host_network_received_bytes_total' | 'er_host_network_sent_bytes_total';
type GpuGauge =
  | 'er_gpu_utilization'
  | 'er_gpu_memory_used_bytes'
  | 'er_gpu_memory_total_bytes'
  | 'er_gpu_temperature_celsius'
  | 'er_gpu_power_watts';
