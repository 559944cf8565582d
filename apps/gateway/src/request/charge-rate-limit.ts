import { RequestError } from '@er-gateway/shared/errors/request-error';
import type { StateStore } from '@er-gateway/shared/state/store';
import type { Exchange } from './exchange.ts';

/** The window of `limits.requests_per_minute`. It starts with a key's first request. */
const windowSeconds = 60;

/** Charges the request to its key, over all workers and hosts. Throws RequestError `rate_limit_exceeded`. */
export async function chargeRateLimit(
  exchange: Exchange,
  store: StateStore,
  requestsPerMinute: number,
): Promise<void> {
  if (exchange.key === null) throw new Error('a request is charged after it was authenticated');
  const cost = exchange.route.isCharged ? 1 : 0;
  const outcome = await store.consume(exchange.key.id, { points: requestsPerMinute, windowSeconds }, cost);
  exchange.limit = outcome;
  if (!outcome.isAllowed && cost > 0) {
    const seconds = Math.ceil(outcome.resetMs / 1000);
    throw new RequestError(
      'rate_limit_exceeded',
      `This key's limit of ${outcome.limit} requests a minute is used up. Try again in ${seconds} s, or raise limits.requests_per_minute.`,
      { retryAfterMs: outcome.resetMs },
    );
  }
}
