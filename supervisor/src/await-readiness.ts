import { setTimeout as delay } from 'node:timers/promises';
import type { ModelLogReader } from './model-log.ts';
import { inferenceProblem, isHealthy, type ModelServer } from './readiness.ts';

const pollMs = 200;
/** A server that is up but answers nonsense this often in a row has failed to start. */
const maxBadInferences = 5;
const badInferencePauseMs = 1_000;

/** What awaitReadiness() watches and whom it tells. */
export interface ReadinessWatch {
  server: ModelServer;
  log: ModelLogReader | null;
  /** Called with each step of the loading, for people. */
  onDetail: (detail: string) => void;
  stop: AbortSignal;
}

/** Resolves with null when the model answers, with the reason when it is up but never will (or was stopped). */
export async function awaitReadiness({
  server,
  log,
  onDetail,
  stop,
}: ReadinessWatch): Promise<string | null> {
  const pause = (milliseconds: number) => delay(milliseconds, undefined, { signal: stop }).catch(() => {});
  let badInferences = 0;
  while (!stop.aborted) {
    const detail = log?.newDetail();
    if (detail) onDetail(detail);
    if (await isHealthy(server, stop)) {
      onDetail('trying one inference');
      const problem = await inferenceProblem(server, stop);
      if (problem === null) return null;
      badInferences += 1;
      if (badInferences === maxBadInferences) return `the model server is up but does not work: ${problem}`;
      onDetail(`trying one inference again: ${problem}`);
      await pause(badInferencePauseMs);
    }
    await pause(pollMs);
  }
  return 'the wait for the model server was given up';
}
