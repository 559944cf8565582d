import type { Observation } from './observer.ts';
import { schedulerOf } from './scheduler-inspection.ts';
import type { Traffic } from './traffic.ts';

/** How far back the charts look, in milliseconds. */
export const historyMs = 15 * 60_000;

/** A moment in the charts. Rates and latencies are those of the ten seconds before, or since the look before. */
export interface HistoryPoint {
  /** Unix time in milliseconds. */
  at: number;
  /** Answers a second by class of status. */
  okPerSecond: number;
  clientErrorsPerSecond: number;
  serverErrorsPerSecond: number;
  /** Milliseconds; null without requests. */
  p50Ms: number | null;
  p95Ms: number | null;
  p99Ms: number | null;
  tokensPerSecond: number;
  /** Jobs that the scheduler holds; null without a scheduler. */
  inFlight: number | null;
  /** Inputs that wait for a model. */
  waiting: number | null;
}

/** The charts' points, oldest first; forgets what is too old. */
export class History {
  #points: HistoryPoint[] = [];

  add(point: HistoryPoint): void {
    this.#points = [...this.#points.filter(({ at }) => point.at - at <= historyMs), point];
  }

  get points(): readonly HistoryPoint[] {
    return this.#points;
  }

  get latest(): HistoryPoint | null {
    return this.#points.at(-1) ?? null;
  }
}

/** The point of one observation. `recent` is the traffic of the last seconds. */
export function toHistoryPoint(observation: Observation, recent: Traffic): HistoryPoint {
  const scheduler = schedulerOf(observation.processes);
  const perSecond = (firstDigits: string) => {
    const counts = Object.entries(recent.statuses).map(([status, count]) =>
      firstDigits.includes(status.charAt(0)) ? count : 0,
    );
    return recent.windowSeconds > 0
      ? counts.reduce((sum, count) => sum + count, 0) / recent.windowSeconds
      : 0;
  };
  return {
    at: observation.at,
    okPerSecond: perSecond('23'),
    clientErrorsPerSecond: perSecond('4'),
    serverErrorsPerSecond: perSecond('5'),
    p50Ms: recent.p50Ms,
    p95Ms: recent.p95Ms,
    p99Ms: recent.p99Ms,
    tokensPerSecond: recent.tokensPerSecond,
    inFlight: scheduler?.inFlight ?? null,
    waiting: scheduler?.lanes
      ? Object.values(scheduler.lanes).reduce((sum, { waitingItems }) => sum + waitingItems, 0)
      : null,
  };
}
