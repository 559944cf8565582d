import type { ModelProcessState } from '@er-gateway/shared/model-process-status';

/** Where a model process may go from each state: the table of supervisor/design.md. A life begins and ends in stopped or failed. */
const nextStates: Record<ModelProcessState, readonly ModelProcessState[]> = {
  stopped: ['starting'],
  starting: ['loading', 'stopped', 'failed'],
  loading: ['testing', 'stopping'],
  testing: ['ready', 'stopping'],
  ready: ['degraded', 'draining', 'stopping'],
  degraded: ['ready', 'draining', 'stopping'],
  draining: ['stopping'],
  stopping: ['stopped', 'failed'],
  failed: ['starting'],
};

/** Every state of a model process. */
export const modelProcessStates = Object.keys(nextStates) as ModelProcessState[];

/** Whether this step is in the table of states. */
export function canEnter(from: ModelProcessState, to: ModelProcessState): boolean {
  return nextStates[from].includes(to);
}
