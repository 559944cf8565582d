import type { FakeModelOptions } from './options.ts';
import type { SeenReport } from './seen.ts';

/** The few metrics of vLLM that the gateway may look at, in Prometheus text. */
export function toMetrics(
  options: FakeModelOptions,
  seen: SeenReport,
  depth: { waiting: number; running: number },
): string {
  const labels = `{engine="0",model_name="${options.servedName}"}`;
  const one = (kind: string, name: string, value: number) =>
    `# TYPE vllm:${name} ${kind}\nvllm:${name}${labels} ${value.toFixed(1)}\n`;
  return [
    one('gauge', 'num_requests_running', depth.running),
    one('gauge', 'num_requests_waiting', depth.waiting),
    `# TYPE vllm:num_requests_waiting_by_reason gauge\n`,
    `vllm:num_requests_waiting_by_reason{engine="0",model_name="${options.servedName}",reason="capacity"} ${depth.waiting.toFixed(1)}\n`,
    one('gauge', 'kv_cache_usage_perc', 0),
    one('counter', 'prompt_tokens_total', seen.tokens),
    `# TYPE vllm:request_success_total counter\n`,
    `vllm:request_success_total{engine="0",finished_reason="stop",model_name="${options.servedName}"} ${seen.inputs.toFixed(1)}\n`,
  ].join('');
}
