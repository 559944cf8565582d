import type { Item, ItemResult } from '../queue/item.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { UpstreamFailure } from '../upstream/upstream-failure.ts';

/** How a batch goes to a model server, and its answer back to the items. */
export interface Wire {
  /** Whether items of several jobs may share a call to this server: not when it only tells a call's sum of tokens. */
  canJoinJobs: (upstream: Upstream) => boolean;
  /**
   * Sends a batch in one call. Resolves to a result for each item, or to what is wrong with it; throws UpstreamFailure when
   * the call failed as a whole, and the signal's reason when it was aborted.
   */
  send: (
    upstream: Upstream,
    items: readonly Item[],
    signal: AbortSignal,
  ) => Promise<(ItemResult | UpstreamFailure)[]>;
}
