import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseGpuRows, readGpus } from '../../../apps/monitor/src/gpu-sample.ts';

test('rows of nvidia-smi become shares, bytes, degrees and watts', () => {
  assert.deepEqual(
    parseGpuRows('0, 35, 1024, 81559, 41, 120.53, NVIDIA H200\n1, 0, 2, 81559, 30, 70.00, Tesla, T4\n'),
    [
      {
        index: 0,
        name: 'NVIDIA H200',
        utilization: 0.35,
        memoryUsedBytes: 1073741824,
        memoryTotalBytes: 85520809984,
        temperatureCelsius: 41,
        powerWatts: 120.53,
      },
      {
        index: 1,
        name: 'Tesla, T4',
        utilization: 0,
        memoryUsedBytes: 2097152,
        memoryTotalBytes: 85520809984,
        temperatureCelsius: 30,
        powerWatts: 70,
      },
    ],
  );
});

test('what nvidia-smi does not know is null, and its messages are no GPUs', () => {
  const [gpu] = parseGpuRows('0, [N/A], [N/A], [N/A], [Not Supported], [N/A], NVIDIA H200 MIG 1g.18gb\n');
  assert.equal(gpu?.utilization, null);
  assert.equal(gpu?.memoryUsedBytes, null);
  assert.equal(gpu?.powerWatts, null);
  assert.deepEqual(parseGpuRows('No devices were found\n'), []);
});

test('without nvidia-smi, or when it fails, there are no GPUs', async () => {
  assert.deepEqual(await readGpus('no-such-nvidia-smi'), []);
  assert.deepEqual(await readGpus('/bin/false'), []);
});
