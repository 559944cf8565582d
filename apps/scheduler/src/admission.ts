import { RequestError } from '@er-gateway/shared/errors/request-error';

/** What a refused caller is told to wait, in milliseconds. */
const retryAfterMs = 1000;

/**
 * The cap on requests in flight on this host. One counter in one process: it cannot leak over crashes of others, whose
 * closing connections end their calls and so return their permits.
 */
export class Admission {
  readonly capacity: number;
  inFlight = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** Runs `work` under a permit. Throws RequestError `overloaded` at once when none is left. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.inFlight >= this.capacity) {
      throw new RequestError(
        'overloaded',
        `${this.capacity} requests are in flight here, which is the limit. Try again in a second, or raise limits.concurrency.`,
        { retryAfterMs },
      );
    }
    this.inFlight++;
    try {
      return await work();
    } finally {
      this.inFlight--;
    }
  }
}
