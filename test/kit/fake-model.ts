import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Fault } from '../fake-model/faults.ts';
import { type FakeModelOptions, toFlags } from '../fake-model/options.ts';
import type { SeenReport } from '../fake-model/seen.ts';
import { freePort } from './free-port.ts';
import { waitFor } from './wait-for.ts';

export type { Fault } from '../fake-model/faults.ts';
export type { SeenReport } from '../fake-model/seen.ts';

const rerankerTemplate = join(import.meta.dirname, '../../supervisor/templates/qwen3_reranker.jinja');

/** A fake model server in a process of its own. */
export interface FakeModel {
  url: string;
  port: number;
  pid: number;
  /** Orders a fault; `{ mode: 'none' }` heals. */
  fault: (fault: Fault) => Promise<void>;
  /** What it got so far. */
  seen: () => Promise<SeenReport>;
  /** Counts from zero again. */
  forget: () => Promise<void>;
  /** Resolves with its exit code (null after a signal). */
  exited: Promise<number | null>;
  /** Kills it and waits until it is gone. */
  stop: () => Promise<void>;
}

/** Starts a fake model server on a free port, and waits until it listens. Options: test/fake-model/options.ts. */
export async function startFakeModel(given: Partial<FakeModelOptions> = {}): Promise<FakeModel> {
  // A reranker without its template is refused by the scheduler, unless that has the tokenizer itself.
  const options = given.role === 'reranker' ? { chatTemplate: rerankerTemplate, ...given } : given;
  const port = options.port || (await freePort());
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, '../fake-model/main.ts'), ...toFlags({ ...options, port })],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const exited = once(child, 'exit').then(([code]) => code as number | null);
  const errors = collect(child);
  await waitFor(`the fake model server on port ${port}`, async () => {
    if (child.exitCode !== null) throw new Error(`it exited with ${child.exitCode}: ${errors.join('')}`);
    return (await fetch(`${url}/version`)).ok;
  });
  return {
    url,
    port,
    pid: child.pid as number,
    fault: async fault => {
      const answer = await fetch(`${url}/__fault`, { method: 'POST', body: JSON.stringify(fault) });
      if (!answer.ok) throw new Error(await answer.text());
    },
    seen: async () => (await fetch(`${url}/__seen`)).json() as Promise<SeenReport>,
    forget: async () => void (await fetch(`${url}/__seen`, { method: 'DELETE' })),
    exited,
    stop: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

function collect(child: ChildProcess): string[] {
  const lines: string[] = [];
  child.stderr?.on('data', chunk => lines.push(String(chunk)));
  return lines;
}
