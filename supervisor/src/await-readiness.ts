import { setTimeout as delay } from 'node:timers/promises';
import type { ModelLog } from './model-log.ts';
import { isHealthy, type ModelServer, selfTestProblem, warmUpProblem } from './readiness.ts';
import { WorkClock, type WorkSigns } from './work-clock.ts';

const pollMs = 200;
/** A server that is up but answers nonsense this often in a row has failed to start. */
const maxFailedTests = 5;
const failedTestPauseMs = 1_000;

/** How long a server may do nothing before its start counts as failed, in milliseconds, and what counts as nothing. */
export interface StartLimits {
  /** vLLM gives its own engine as long. */
  loadingMs: number;
  /** As for a ready server (health-watch.ts). */
  testingMs: number;
  /** Failing answers are tried again for so long. */
  retriesMs: number;
}

const startLimits: StartLimits = { loadingMs: 600_000, testingMs: 20_000, retriesMs: 120_000 };
/** CPU time below which a server counts as idle: its timers, seen on vLLM, take a twentieth of it. */
const leastCpuSeconds = { loading: 2, testing: 0.5 };

/** What awaitReadiness() watches and whom it tells. */
export interface ReadinessWatch {
  server: ModelServer;
  log: Pick<ModelLog, 'newDetail'>;
  work: WorkSigns;
  /** Called with each step of the loading, for people. */
  onDetail: (detail: string) => void;
  /** It listens and says that it serves: its answers are being tested from now on. */
  onTesting: () => void;
  /** Something that went wrong and does not keep it from serving. */
  onWarning: (warning: string) => void;
  stop: AbortSignal;
  limits?: StartLimits;
}

const givenUp = 'the wait for the model server was given up';

/** Resolves with null when the model answers as it should, with the reason when it never will (or was stopped). */
export async function awaitReadiness(watch: ReadinessWatch): Promise<string | null> {
  const { server, log, work, onDetail, onTesting, stop, limits = startLimits } = watch;
  const clock = new WorkClock(work, leastCpuSeconds.loading);
  while (!(await isHealthy(server, stop))) {
    if (stop.aborted) return givenUp;
    const detail = log.newDetail();
    if (detail) onDetail(detail);
    if (clock.idleMs() >= limits.loadingMs) {
      return `it does not come up: no output and no work for ${Math.round(limits.loadingMs / 1000)} s while it loaded`;
    }
    await pause(pollMs, stop);
  }
  onTesting();
  return passTests(watch, limits);
}

async function passTests(watch: ReadinessWatch, limits: StartLimits): Promise<string | null> {
  const { server, onDetail, onWarning, stop } = watch;
  // The first answer may have to wait for kernels to be compiled: time counts from it on.
  let begin: number | null = null;
  for (let failedTests = 0; !stop.aborted; ) {
    const outcome = await unlessIdle(watch, limits, signal => selfTestProblem(server, signal));
    if (outcome === 'idle') {
      return `it hangs: it listens, and has neither answered its first test nor worked for ${limits.testingMs / 1000} s`;
    }
    if (outcome.problem === null) {
      const warmUp = await unlessIdle(watch, limits, signal => warmUpProblem(server, signal));
      const problem = warmUp === 'idle' ? 'no answer' : warmUp.problem;
      if (problem !== null)
        onWarning(`the warm-up failed, the first large requests will be slower: ${problem}`);
      return stop.aborted ? givenUp : null;
    }
    failedTests += 1;
    begin ??= performance.now();
    if (failedTests === maxFailedTests || performance.now() - begin > limits.retriesMs) {
      return `the model server is up but does not work: ${outcome.problem}`;
    }
    onDetail(`testing its answers again: ${outcome.problem}`);
    await pause(failedTestPauseMs, stop);
  }
  return givenUp;
}

/** The outcome of a test, or `idle` when the server neither answers nor works. */
async function unlessIdle(
  { work, stop }: ReadinessWatch,
  { testingMs }: StartLimits,
  test: (signal: AbortSignal) => Promise<string | null>,
): Promise<{ problem: string | null } | 'idle'> {
  const giveUp = new AbortController();
  const clock = new WorkClock(work, leastCpuSeconds.testing);
  const answer = test(AbortSignal.any([stop, giveUp.signal])).then(problem => ({ problem }));
  for (;;) {
    const outcome = await Promise.race([answer, pause(pollMs, stop)]);
    if (outcome) return outcome;
    if (stop.aborted) return { problem: givenUp };
    if (clock.idleMs() < testingMs) continue;
    giveUp.abort();
    return 'idle';
  }
}

const pause = (milliseconds: number, stop: AbortSignal) =>
  delay(milliseconds, undefined, { signal: stop }).catch(() => {});
