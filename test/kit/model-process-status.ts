import type { ModelProcessStatus } from '@er-gateway/shared/model-process-status';

/** A status as a supervisor of vLLM writes it, changed as a test needs it; its supervisor is this process. */
export const modelProcessStatus = (change: Partial<ModelProcessStatus> = {}): ModelProcessStatus => ({
  app: 'embedding',
  role: 'embedding',
  engine: 'vllm',
  state: 'loading',
  since: 0,
  detail: '',
  lastError: null,
  supervisorPid: process.pid,
  pid: null,
  port: 8000,
  gpu: 0,
  gpuMemoryShare: 0.9,
  failedStarts: 0,
  startedAt: null,
  nextStartAt: null,
  usualLoadMs: 20_000,
  logFile: '/nowhere/embedding_model.log',
  ...change,
});
