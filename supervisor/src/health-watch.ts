import { setTimeout as delay } from 'node:timers/promises';
import { readProgress } from './readiness.ts';

/** How a ready model server is watched, in milliseconds. */
export interface WatchTimes {
  /** Pause between two tests. */
  everyMs: number;
  /** A test that got no answer for so long, with no other work done either, puts the server in doubt. */
  doubtMs: number;
  /** So long, and it hangs. */
  hungMs: number;
}

/** A hang is found within 5 + 20 s and a second, idle or under load. */
const watchTimes: WatchTimes = { everyMs: 4_000, doubtMs: 8_000, hungMs: 20_000 };

/** Wrong answers in a row after which a server is started anew. */
const mostBadAnswers = 3;
const tickMs = 500;
/** More than this between two looks is time in which this machine did not run: it says nothing about the server. */
const longestTickMs = 4_000;
const metricsTimeoutMs = 2_000;

/** What is watched and who is told. */
export interface HealthWatch {
  url: string;
  /** A small inference: null when it came out right, else what was wrong. */
  test: (signal: AbortSignal) => Promise<string | null>;
  onDoubt: (why: string) => void;
  onWell: () => void;
  stop: AbortSignal;
  times?: WatchTimes;
}

/**
 * Tests a ready model server every few seconds, by an inference and never by /health, which says 200 when the GPU is stuck.
 * A server that is only busy keeps counting finished work in its metrics, and is given its time. Resolves to why the server
 * must be started anew; to null when `stop` aborts.
 */
export async function watchHealth(watch: HealthWatch): Promise<string | null> {
  const { test, onDoubt, onWell, stop, times = watchTimes } = watch;
  let badAnswers = 0;
  while (!stop.aborted) {
    await delay(times.everyMs, undefined, { signal: stop }).catch(() => {});
    if (stop.aborted) break;
    const giveUp = new AbortController();
    const answer = test(AbortSignal.any([stop, giveUp.signal])).then(problem => ({ problem }));
    const outcome = await answerOrHang(answer, watch);
    giveUp.abort();
    if (stop.aborted) break;
    if (outcome === 'hung') {
      return `it hangs: no answer and no work done for ${times.hungMs / 1000} s, though it listens`;
    }
    if (outcome.problem === null) {
      badAnswers = 0;
      onWell();
      continue;
    }
    badAnswers++;
    onDoubt(`its test went wrong: ${outcome.problem}`);
    if (badAnswers >= mostBadAnswers) return `it answers wrongly: ${outcome.problem}`;
  }
  return null;
}

async function answerOrHang(
  answer: Promise<{ problem: string | null }>,
  { url, onDoubt, stop, times = watchTimes }: HealthWatch,
): Promise<{ problem: string | null } | 'hung'> {
  let idleMs = 0;
  let progress = await readProgress(url, metricsTimeoutMs);
  let lookedAt = performance.now();
  for (;;) {
    const got = await Promise.race([answer, delay(tickMs, null, { signal: stop }).catch(() => null)]);
    if (got !== null) return got;
    if (stop.aborted) return { problem: null };
    const now = performance.now();
    idleMs += Math.min(now - lookedAt, longestTickMs);
    lookedAt = now;
    if (idleMs < times.doubtMs / 2) continue;
    const seen = await readProgress(url, metricsTimeoutMs);
    if (seen !== null && seen !== progress) {
      progress = seen;
      idleMs = 0;
      continue;
    }
    if (idleMs >= times.hungMs) return 'hung';
    if (idleMs >= times.doubtMs) {
      onDoubt(`no answer to its test for ${Math.round(idleMs / 1000)} s, and no other work done`);
    }
  }
}
