import { execFile, spawn } from 'node:child_process';
import { findProgram } from '@er-gateway/shared/config/effective-config';
import type { ModelCommand } from './command-inputs.ts';

/** How long a small tool (nvidia-smi, setpriv) may take. */
const toolTimeoutMs = 10_000;

/** How a child ended; `spawnError` when it never ran. */
export interface ChildExit {
  code: number | null;
  signal: NodeJS.Signals | null;
  spawnError: Error | null;
}

/** A running model server: leader of its own session and process group. */
export interface ModelChild {
  /** Process id and group id; null when it could not be started. */
  pid: number | null;
  exited: Promise<ChildExit>;
  /** SIGTERM to the leader alone: vLLM ends its own children in order. */
  terminate: () => void;
}

/**
 * Starts a model server in a session of its own, so that signals for us do not reach it and one signal reaches all of
 * its processes. Its output goes to a pipe that it can read itself (output-pipe.ts): it does not break when we are killed.
 */
export function startChild({ command, args, env }: ModelCommand, output: number | 'ignore'): ModelChild {
  const child = spawn(command, args, { detached: true, stdio: ['ignore', output, output], env });
  const exited = new Promise<ChildExit>(resolve => {
    child.once('error', spawnError => resolve({ code: null, signal: null, spawnError }));
    child.once('exit', (code, signal) => resolve({ code, signal, spawnError: null }));
  });
  return { pid: child.pid ?? null, exited, terminate: () => void child.kill('SIGTERM') };
}

/**
 * The same command under `setpriv --pdeathsig TERM`: the kernel sends SIGTERM to the model server when we are killed.
 * TERM and not KILL: vLLM ends its engine on TERM, while KILL would take the leader alone and leave the engine with the
 * GPU's memory. Unchanged where setpriv is missing or cannot do it (busybox).
 */
export async function withDeathSignal(command: ModelCommand): Promise<ModelCommand> {
  const setpriv = findProgram('setpriv', command.env);
  const prefix = ['--pdeathsig', 'TERM', '--'];
  if (setpriv === null || (await outputOf(setpriv, [...prefix, 'echo', 'works'])) !== 'works\n') {
    return command;
  }
  return { ...command, command: setpriv, args: [...prefix, command.command, ...command.args] };
}

/** What a small tool prints; empty when it fails. Throws when it hangs. */
export async function outputOf(program: string, args: string[]): Promise<string> {
  const { code, stdout } = await resultOf(program, args);
  return code === 0 ? stdout : '';
}

/** How a small tool ended; `code` is 0 only when all went well. */
export interface ToolResult {
  code: number | string;
  stdout: string;
  stderr: string;
}

/** Runs a small tool. Throws when it hangs. */
export function resultOf(program: string, args: string[], timeoutMs = toolTimeoutMs): Promise<ToolResult> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { timeout: timeoutMs, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
      if (error?.killed) reject(new Error(`${program} did not answer within ${timeoutMs / 1000} s`));
      else resolve({ code: error ? (error.code ?? error.signal ?? 'unknown') : 0, stdout, stderr });
    });
  });
}
