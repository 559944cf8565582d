import type { KeyChange, KeyRecord, RateLimit, WorkCost, WorkLimits } from './store.ts';

/** The frame methods of the `state` app, by what they take. Their results are StateStore's. */
export interface StateMethods {
  publishKeys: { source: string; keys: readonly KeyRecord[] };
  findKey: { hash: string };
  listKeys: null;
  /** Not made after `notAfter` (Unix time in milliseconds): its caller was told then that nobody answered. */
  changeKeys: KeyChange & { notAfter: number };
  consume: { keyId: string; limit: RateLimit; cost: number };
  charge: { keyId: string; limits: WorkLimits; cost: WorkCost };
}

/** Topic of pushes with the hashes of keys that changed. */
export const keysChangedTopic = 'keys';
