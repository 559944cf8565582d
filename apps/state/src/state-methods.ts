import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { CallContext, FrameMethod } from '@er-gateway/shared/frames/frame-server';
import { MemoryWorkLimits } from '@er-gateway/shared/state/memory-work-limits';
import { memoryRateLimits } from '@er-gateway/shared/state/rate-limits';
import type { StateMethods } from '@er-gateway/shared/state/state-protocol';
import type { MemoryKeys } from './memory-keys.ts';

/** The methods that the app serves, on the keys and counters that it holds. */
export function createStateMethods(keys: MemoryKeys) {
  const limits = memoryRateLimits();
  const workLimits = new MemoryWorkLimits();
  return {
    publishKeys: async params => keys.publish(params.source, params.keys),
    findKey: async params => keys.find(params.hash),
    listKeys: async () => keys.list(),
    changeKeys: async ({ notAfter, ...change }) => {
      if (Date.now() > notAfter) throw new RequestError('state_unavailable', 'The change came too late.');
      return keys.change(change);
    },
    charge: async params => workLimits.charge(params.keyId, params.limits, params.cost),
    consume: params => limits.consume(params.keyId, params.limit, params.cost),
  } satisfies {
    [Method in keyof StateMethods]: (
      params: StateMethods[Method],
      context: CallContext,
    ) => ReturnType<FrameMethod>;
  };
}
