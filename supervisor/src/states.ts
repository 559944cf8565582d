import type { ModelProcessState } from '@er-gateway/shared/model-process-status';

/** Where a model process may go from each state. A process has one life: failed and stopping lead nowhere but out. */
const nextStates: Record<ModelProcessState, readonly ModelProcessState[]> = {
  starting: ['backing-off', 'loading', 'stopping', 'failed'],
  'backing-off': ['loading', 'stopping', 'failed'],
  loading: ['ready', 'stopping', 'failed'],
  ready: ['stopping', 'failed'],
  stopping: ['failed'],
  failed: [],
};

/** Whether this step is in the table of states. */
export function canEnter(from: ModelProcessState, to: ModelProcessState): boolean {
  return nextStates[from].includes(to);
}
