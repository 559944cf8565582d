import { configExitCode } from '@er-gateway/shared/errors/config-error';
import { lastLines } from './follow-file.ts';
import type { ModelView } from './model-view.ts';
import type { Pm2Process } from './pm2.ts';

/** Why the start cannot succeed, and the log that says more. */
export interface StartFailure {
  reason: string;
  logFile: string | null;
}

/** Restarts of one process, and failed starts of one model server, that tell a loop from bad luck. */
const tooManyRestarts = 5;
const tooManyFailedStarts = 3;

/** Looks, while somebody waits for a start, for what will not come up by waiting. */
export class FailureFinder {
  /** Restarts of each process when it was first seen, by PM2 id: PM2 counts all since the system was started. */
  readonly #restartsBefore = new Map<number, number>();

  /** The first of an app that PM2 gave up, one that ends again and again, a model server that cannot start; null for none. */
  find(processes: readonly Pm2Process[], models: readonly ModelView[]): StartFailure | null {
    for (const { app, state, failedStarts, detail, lastError, logFile } of models) {
      if (state === 'failed' || failedStarts >= tooManyFailedStarts)
        return { reason: `the model server ${app} does not start: ${lastError ?? detail}`, logFile };
    }
    for (const process of processes) {
      const reason = this.#reasonOf(process);
      if (reason !== null) return { reason, logFile: process.logFile };
    }
    return null;
  }

  #reasonOf({ id, name, status, exitCode, restarts }: Pm2Process): string | null {
    const before = this.#restartsBefore.get(id) ?? restarts;
    this.#restartsBefore.set(id, before);
    if (status === 'stopped' && exitCode === configExitCode)
      return `${name} cannot run as it is configured (exit status ${exitCode})`;
    if (status === 'errored' || status === 'stopped' || status === 'waiting restart')
      return `${name} is ${status} (last exit status ${exitCode ?? 'unknown'})`;
    if (restarts - before >= tooManyRestarts)
      return `${name} ends again and again (last exit status ${exitCode ?? 'unknown'})`;
    return null;
  }
}

/** The failure for people, with the end of its log. */
export function describeFailure({ reason, logFile }: StartFailure): string {
  const lines = logFile ? lastLines(logFile, 15) : [];
  if (lines.length === 0) return reason;
  return `${reason}\nThe end of ${logFile}:\n${lines.map(line => `  ${line}`).join('\n')}`;
}
