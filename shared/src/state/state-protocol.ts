import type { KeyRecord, RateLimit } from './store.ts';

/** The frame methods of the `state` app, by what they take. Their results are StateStore's. */
export interface StateMethods {
  publishKeys: { source: string; keys: readonly KeyRecord[] };
  findKey: { hash: string };
  consume: { keyId: string; limit: RateLimit; cost: number };
}
