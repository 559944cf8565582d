import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../kit/free-port.ts';
import { descendantsOf } from '../measure/process-table.ts';
import { startChild } from '../systems/child.ts';
import { installPython, venvOf } from './python-venv.ts';
import type { Rival } from './rival.ts';

/** Its imports alone take half a minute on a busy machine. */
const startTimeoutMs = 240_000;

const environment = {
  LITELLM_LOCAL_MODEL_COST_MAP: 'True',
  LITELLM_LOG: 'ERROR',
  // No key to check: less work for it than for the gateway.
  LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY: 'true',
};

/** LiteLLM's proxy with one worker, without a database and without keys. */
export const litellm: Rival = {
  name: 'litellm',
  install: () => installPython('litellm', 'litellm[proxy]'),
  start: async (target, parent) => {
    const port = await freePort();
    const folder = join(parent, `litellm-${port}`);
    mkdirSync(folder);
    const file = join(folder, 'config.yaml');
    // JSON is YAML.
    const model = { model: 'hosted_vllm/Qwen3-Embedding-0.6B', api_base: `${target}/v1`, api_key: 'none' };
    const settings = {
      model_list: [{ model_name: 'Qwen3-Embedding-0.6B', litellm_params: model }],
      litellm_settings: { telemetry: false, num_retries: 0 },
    };
    writeFileSync(file, JSON.stringify(settings));
    const url = `http://127.0.0.1:${port}`;
    const { pid, stop } = await startChild({
      command: [
        ...[join(venvOf('litellm'), 'bin/litellm'), '--config', file],
        ...['--host', '127.0.0.1', '--port', String(port), '--num_workers', '1'],
      ],
      readyUrl: `${url}/health/liveliness`,
      env: { ...process.env, ...environment },
      timeoutMs: startTimeoutMs,
    });
    return { url, pids: [pid, ...descendantsOf(pid)], stop };
  },
};
