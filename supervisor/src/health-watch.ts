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
  /** So long, computing alone shows that it works: longer than any step on a CPU, and short enough for an endless loop. */
  busyMs: number;
}

/** A hang is found within 5 + 20 s and a second, idle or under load. */
const watchTimes: WatchTimes = { everyMs: 4_000, doubtMs: 8_000, hungMs: 20_000, busyMs: 120_000 };

/** Wrong answers in a row after which a server is started anew. */
const mostBadAnswers = 3;
const tickMs = 500;
/** More than this between two looks is time in which this machine did not run: it says nothing about the server. */
const longestTickMs = 4_000;
const metricsTimeoutMs = 2_000;
/** Of one core: a server that computes takes all of it, or what a crowded machine leaves it; one that hangs a hundredth. */
const busyShare = 0.25;

/** What is watched and who is told. */
export interface HealthWatch {
  url: string;
  /** A small inference: null when it came out right, else what was wrong. */
  test: (signal: AbortSignal) => Promise<string | null>;
  /** CPU time of its processes so far; null on a GPU, where one that waits for it for ever spins. */
  cpuSeconds: (() => number) | null;
  onDoubt: (why: string) => void;
  onWell: () => void;
  stop: AbortSignal;
  times?: WatchTimes;
}

/**
 * Tests a ready model server every few seconds, by an inference and never by /health, which says 200 when the GPU is stuck.
 * A server that is only busy keeps counting finished work in its metrics, or computes (one step on a CPU may take longer
 * than a hang is looked for), and is given its time. Resolves to why it must be started anew; to null when `stop` aborts.
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
  watch: HealthWatch,
): Promise<{ problem: string | null } | 'hung'> {
  const { onDoubt, stop, times = watchTimes } = watch;
  let idleMs = 0;
  const hasWorked = await workSince(watch, times.busyMs);
  let lookedAt = performance.now();
  for (;;) {
    const got = await Promise.race([answer, delay(tickMs, null, { signal: stop }).catch(() => null)]);
    if (got !== null) return got;
    if (stop.aborted) return { problem: null };
    const now = performance.now();
    idleMs += Math.min(now - lookedAt, longestTickMs);
    lookedAt = now;
    if (idleMs < times.doubtMs / 2) continue;
    if (await hasWorked()) {
      idleMs = 0;
      continue;
    }
    if (idleMs >= times.hungMs) return 'hung';
    if (idleMs >= times.doubtMs) {
      onDoubt(`no answer to its test for ${Math.round(idleMs / 1000)} s, and no other work done`);
    }
  }
}

/** What tells whether the server has worked since it was asked last. */
async function workSince({ url, cpuSeconds }: HealthWatch, busyMs: number): Promise<() => Promise<boolean>> {
  const begin = performance.now();
  let progress = await readProgress(url, metricsTimeoutMs);
  let lookedAt = performance.now();
  let usedSeconds = cpuSeconds?.() ?? 0;
  return async () => {
    const seen = await readProgress(url, metricsTimeoutMs);
    // The first that can be read only tells where the counters stand.
    const hasCounted = seen !== null && progress !== null && seen !== progress;
    progress = seen ?? progress;
    const now = performance.now();
    const used = cpuSeconds?.() ?? 0;
    const isBusy = used - usedSeconds >= (busyShare * (now - lookedAt)) / 1000;
    usedSeconds = used;
    lookedAt = now;
    return hasCounted || (cpuSeconds !== null && isBusy && now - begin < busyMs);
  };
}
