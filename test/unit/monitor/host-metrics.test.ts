import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import type { GpuSample } from '../../../apps/monitor/src/gpu-sample.ts';
import { createHostMetrics } from '../../../apps/monitor/src/host-metrics.ts';
import type { SystemSample } from '../../../apps/monitor/src/system-sample.ts';

const sampleOf = (receivedBytes: number): SystemSample => ({
  hostname: 'host',
  uptimeSeconds: 1,
  cpu: { cores: 4, busy: 0.5, loadAverage: [2.5, 2, 1] },
  memory: { totalBytes: 1000, availableBytes: 400 },
  network: { receivedBytes, sentBytes: 0, receivedBytesPerSecond: null, sentBytesPerSecond: null },
});
const gpuOf = (index: number, utilization: number | null): GpuSample => ({
  index,
  name: 'NVIDIA H200',
  utilization,
  memoryUsedBytes: 5,
  memoryTotalBytes: 10,
  temperatureCelsius: null,
  powerWatts: 120,
});

async function linesOf(registry: Registry): Promise<string[]> {
  return (await registry.metrics()).split('\n').filter(line => line !== '' && !line.startsWith('#'));
}

test('bytes of the network count from the first sample on, and never go back when an interface is gone', async () => {
  const registry = new Registry();
  let received = 1000;
  createHostMetrics(registry, { system: async () => sampleOf(received), gpus: async () => [] });
  const counted = async () =>
    (await linesOf(registry)).find(line => line.startsWith('er_host_network_received_bytes_total '));
  assert.equal(await counted(), 'er_host_network_received_bytes_total 0');
  received = 1700;
  assert.equal(await counted(), 'er_host_network_received_bytes_total 700');
  received = 100;
  assert.equal(await counted(), 'er_host_network_received_bytes_total 700');
  received = 150;
  assert.equal(await counted(), 'er_host_network_received_bytes_total 750');
});

test('a GPU has the series that it tells, and none once it is gone', async () => {
  const registry = new Registry();
  let gpus = [gpuOf(0, 0.25), gpuOf(1, null)];
  createHostMetrics(registry, { system: async () => sampleOf(0), gpus: async () => gpus });
  const lines = await linesOf(registry);
  assert.ok(lines.includes('er_gpu_utilization{gpu="0"} 0.25'));
  assert.ok(!lines.some(line => line.startsWith('er_gpu_utilization{gpu="1"}')));
  assert.ok(lines.includes('er_gpu_memory_total_bytes{gpu="1"} 10'));
  assert.ok(!lines.some(line => line.startsWith('er_gpu_temperature')));
  assert.ok(lines.includes('er_host_load_1m 2.5'));
  gpus = [];
  assert.deepEqual(
    (await linesOf(registry)).filter(line => line.startsWith('er_gpu')),
    [],
  );
});
