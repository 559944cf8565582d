import type { FrameMethod } from '@er-gateway/shared/frames/frame-server';
import { memoryRateLimits } from '@er-gateway/shared/state/rate-limits';
import type { StateMethods } from '@er-gateway/shared/state/state-protocol';
import { MemoryKeys } from './memory-keys.ts';

/** The methods that the app serves, on the keys and counters that it holds. */
export function createStateMethods() {
  const keys = new MemoryKeys();
  const limits = memoryRateLimits();
  return {
    keys,
    methods: {
      publishKeys: async params => keys.publish(params.source, params.keys),
      findKey: async params => keys.find(params.hash),
      consume: params => limits.consume(params.keyId, params.limit, params.cost),
    } satisfies { [Method in keyof StateMethods]: (params: StateMethods[Method]) => ReturnType<FrameMethod> },
  };
}
