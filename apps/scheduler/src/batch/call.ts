import type { Item, ItemResult } from '../queue/item.ts';
import { UpstreamFailure } from '../upstream/upstream-failure.ts';

/** How a call to a model server ended: refused is a 4xx about an input. */
export interface EndedCall {
  outcome: 'ok' | 'refused' | 'failed' | 'cancelled';
  durationMs: number;
  items: number;
  tokens: number;
}

/** Aborts a call when nobody waits for any of its items any more. */
export function watchAbandonment(batch: readonly Item[], cancel: AbortController): { end: () => void } {
  const onLeave = () => {
    if (batch.every(item => item.isAbandoned)) cancel.abort(new Error('nobody waits for this call any more'));
  };
  for (const item of batch) item.onAbandoned = onLeave;
  return {
    end: () => {
      for (const item of batch) if (item.onAbandoned === onLeave) item.onAbandoned = undefined;
    },
  };
}

/** How a call ended, by what its wire made of it. */
export function outcomeOf(
  answer: PromiseSettledResult<(ItemResult | UpstreamFailure)[]>,
): EndedCall['outcome'] {
  if (answer.status === 'fulfilled')
    return answer.value.some(result => result instanceof UpstreamFailure) ? 'failed' : 'ok';
  if (!(answer.reason instanceof UpstreamFailure)) return 'cancelled';
  return answer.reason.isRefusalOfRequest ? 'refused' : 'failed';
}
