import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { configSchema } from '@er-gateway/shared/config/schema';
import { lowerPriority } from '../../../supervisor/src/lower-priority.ts';
import { freePort } from '../free-port.ts';
import { waitFor } from '../wait-for.ts';
import { vllmCpuArguments, vllmEnvironment, vllmMaxModelLen, vllmPaths } from './paths.ts';

/** The reranker's chat template that the supervisor passes. */
export const rerankerTemplate = resolve(
  import.meta.dirname,
  '../../../supervisor/templates/qwen3_reranker.jinja',
);

/** Alone it takes 20 s, next to others and with a cold cache much longer. */
const startTimeoutMs = 600_000;

const roleArguments = {
  embedding: ['--convert', 'embed', '--hf-overrides', JSON.stringify({ is_matryoshka: true })],
  reranker: [
    '--hf-overrides',
    JSON.stringify({
      architectures: ['Qwen3ForSequenceClassification'],
      classifier_from_token: ['no', 'yes'],
      is_original_qwen3_reranker: true,
    }),
    '--chat-template',
    rerankerTemplate,
  ],
};

/** Whether the suites on a real vLLM were asked for; a vLLM that is missing is a failure then, not a skip. */
export const isVllmWanted = process.env.ER_TEST_VLLM === '1';

/** Starts a real vLLM server on a free port, not supervised, and waits until it answers. */
export async function startVllm(
  role: 'embedding' | 'reranker',
): Promise<{ url: string; stop: () => Promise<void> }> {
  if (!existsSync(vllmPaths.stamp)) throw new Error('no vLLM here: run node test/kit/vllm/install.ts');
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const folder = mkdtempSync(join(tmpdir(), `er-vllm-${role}-`));
  const log = openSync(join(folder, 'log'), 'a');
  const child = spawn(
    vllmPaths.command,
    [
      ...['serve', vllmPaths.models[role], '--runner', 'pooling', ...roleArguments[role]],
      ...['--served-model-name', role === 'embedding' ? 'Qwen3-Embedding-0.6B' : 'Qwen3-Reranker-0.6B'],
      ...['--host', '127.0.0.1', '--port', String(port), '--dtype', 'float32'],
      ...['--max-model-len', String(vllmMaxModelLen), '--shutdown-timeout', '5', ...vllmCpuArguments],
    ],
    // A group of its own: the engine survives a parent that was killed. What it leaves in its temp folder goes with ours.
    {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, ...vllmEnvironment, TMPDIR: folder },
    },
  );
  closeSync(log);
  const stop = async () => {
    await stopGroup(child);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await giveWay(child);
    await waitFor(
      `vLLM ${role} on port ${port}`,
      async () => child.exitCode !== null || (await fetch(`${url}/health`)).ok,
      { timeoutMs: startTimeoutMs, intervalMs: 500 },
    );
    if (child.exitCode !== null) throw new Error(`vLLM ${role} exited with ${child.exitCode}`);
  } catch (error) {
    const tail = readFileSync(join(folder, 'log'), 'utf8').split('\n').slice(-40).join('\n');
    await stop();
    throw new Error(`vLLM ${role} did not start:\n${tail}`, { cause: error });
  }
  return { url, stop };
}

/** As a supervised one does on busy cores. `child`: a new vLLM. */
export async function giveWay({ pid }: { pid?: number | undefined }): Promise<void> {
  if (pid !== undefined) await lowerPriority(pid, configSchema.parse({}).models.embedding.niceness);
}

/** Kills the server and what it started: all are in its group. */
async function stopGroup(child: ChildProcess): Promise<void> {
  const group = child.pid;
  if (group === undefined) return;
  const isRunning = child.exitCode === null && child.signalCode === null;
  const exited = isRunning ? once(child, 'exit') : undefined;
  try {
    process.kill(-group, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
  await exited;
}
