import type { SchedulerInspection } from '@er-gateway/shared/scheduler-protocol';
import type { ObservedProcess } from './observer.ts';

/** What the scheduler says of itself. Lanes and cache are missing while one of another build runs. */
export type SeenScheduler = Omit<SchedulerInspection, 'lanes' | 'cache'> &
  Partial<Pick<SchedulerInspection, 'lanes' | 'cache'>>;

/** The scheduler's own account; null when it does not answer or says something else. */
export function schedulerOf(processes: readonly ObservedProcess[]): SeenScheduler | null {
  const found = processes.find(({ app, answers }) => app === 'scheduler' && answers);
  return parseScheduler(found?.status);
}

/** Its `/status` as a value; null when it is something else. */
export function parseScheduler(value: unknown): SeenScheduler | null {
  const status = value as Partial<SeenScheduler> | null | undefined;
  return status?.models?.embedding && status.models.reranker ? (status as SeenScheduler) : null;
}
