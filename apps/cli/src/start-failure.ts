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

/**
 * The first thing that will not come up by waiting: an app that PM2 gave up, one that ends again and again, a model
 * server that cannot start. `restartsBefore` holds each process's count when the waiting began, by PM2 id.
 */
export function findFailure(
  processes: readonly Pm2Process[],
  models: readonly ModelView[],
  restartsBefore: ReadonlyMap<number, number>,
): StartFailure | null {
  for (const { app, state, failedStarts, detail, lastError, logFile } of models) {
    if (state === 'failed' || failedStarts >= tooManyFailedStarts)
      return { reason: `the model server ${app} does not start: ${lastError ?? detail}`, logFile };
  }
  for (const { id, name, status, exitCode, restarts, logFile } of processes) {
    if (status === 'stopped' && exitCode === configExitCode)
      return { reason: `${name} cannot run as it is configured (exit status ${exitCode})`, logFile };
    if (status === 'errored' || status === 'stopped' || status === 'waiting restart')
      return { reason: `${name} is ${status} (last exit status ${exitCode ?? 'unknown'})`, logFile };
    if (restarts - (restartsBefore.get(id) ?? 0) >= tooManyRestarts)
      return { reason: `${name} ends again and again (last exit status ${exitCode ?? 'unknown'})`, logFile };
  }
  return null;
}

/** The failure for people, with the end of its log. */
export function describeFailure({ reason, logFile }: StartFailure): string {
  const lines = logFile ? lastLines(logFile, 15) : [];
  if (lines.length === 0) return reason;
  return `${reason}\nThe end of ${logFile}:\n${lines.map(line => `  ${line}`).join('\n')}`;
}
