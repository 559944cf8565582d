import { setTimeout as delay } from 'node:timers/promises';
import type { ModelLog } from './model-log.ts';
import { isHealthy, type ModelServer, selfTestProblem } from './readiness.ts';

const pollMs = 200;
/** A server that is up but answers nonsense this often in a row has failed to start. */
const maxFailedTests = 5;
const failedTestPauseMs = 1_000;

/** What awaitReadiness() watches and whom it tells. */
export interface ReadinessWatch {
  server: ModelServer;
  log: ModelLog;
  /** Called with each step of the loading, for people. */
  onDetail: (detail: string) => void;
  /** It listens and says that it serves: its answers are being tested from now on. */
  onTesting: () => void;
  stop: AbortSignal;
}

/** Resolves with null when the model answers as it should, with the reason when it is up but never will (or was stopped). */
export async function awaitReadiness(watch: ReadinessWatch): Promise<string | null> {
  const { server, log, onDetail, onTesting, stop } = watch;
  const pause = (milliseconds: number) => delay(milliseconds, undefined, { signal: stop }).catch(() => {});
  while (!(await isHealthy(server, stop))) {
    if (stop.aborted) return 'the wait for the model server was given up';
    const detail = log.newDetail();
    if (detail) onDetail(detail);
    await pause(pollMs);
  }
  onTesting();
  for (let failedTests = 0; !stop.aborted; ) {
    const problem = await selfTestProblem(server, stop);
    if (problem === null) return null;
    failedTests += 1;
    if (failedTests === maxFailedTests) return `the model server is up but does not work: ${problem}`;
    onDetail(`testing its answers again: ${problem}`);
    await pause(failedTestPauseMs);
  }
  return 'the wait for the model server was given up';
}
