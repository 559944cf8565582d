import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../kit/free-port.ts';
import {
  vllmCache,
  vllmCpuArguments,
  vllmEnvironment,
  vllmMaxModelLen,
  vllmPaths,
} from '../../kit/vllm/paths.ts';
import { giveWay } from '../../kit/vllm/server.ts';
import { descendantsOf } from '../measure/process-table.ts';
import { startChild } from './child.ts';
import type { RealVllm } from './real-vllm.ts';

const folder = join(vllmCache, 'models/deeper-embedding');
const script = join(import.meta.dirname, '../fixtures/deeper-checkpoint.py');
const startTimeoutMs = 240_000;

/** A real vLLM whose model costs something; its checkpoint is made on first use. */
export async function startDeeperVllm(): Promise<RealVllm> {
  makeCheckpoint();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  // What it leaves in its temp folder goes with ours.
  const temporary = mkdtempSync(join(tmpdir(), 'er-vllm-deeper-'));
  const removeTemporary = () => rmSync(temporary, { recursive: true, force: true });
  const child = startChild({
    command: [
      ...[vllmPaths.command, 'serve', folder, '--runner', 'pooling', '--convert', 'embed'],
      ...['--hf-overrides', JSON.stringify({ is_matryoshka: true })],
      ...['--served-model-name', 'Qwen3-Embedding-0.6B', '--host', '127.0.0.1', '--port', String(port)],
      ...['--dtype', 'bfloat16', '--max-model-len', String(vllmMaxModelLen), ...vllmCpuArguments],
    ],
    readyUrl: `${url}/health`,
    env: { ...process.env, ...vllmEnvironment, TMPDIR: temporary },
    timeoutMs: startTimeoutMs,
    onSpawned: giveWay,
  });
  child.catch(removeTemporary);
  const { pid, stop } = await child;
  const { version } = (await (await fetch(`${url}/version`)).json()) as { version: string };
  return {
    url,
    version,
    apiPid: pid,
    enginePids: descendantsOf(pid),
    stop: () => stop().finally(removeTemporary),
  };
}

function makeCheckpoint(): void {
  if (existsSync(join(folder, 'tokenizer_config.json'))) return;
  rmSync(folder, { recursive: true, force: true });
  execFileSync(vllmPaths.python, [script, vllmPaths.models.embedding, folder], { stdio: 'inherit' });
}
