import { RequestError } from '@er-gateway/shared/errors/request-error';

/** What a refused caller is told to wait, in milliseconds. */
const retryAfterMs = 1000;

/** Whose work it is, and which part of the cap its key may take up (all of it when absent). */
export interface AdmissionRequest {
  keyId: string;
  concurrencyShare?: number;
}

/**
 * The cap on requests in flight on this host, and of each key. Counted in one process: it cannot leak over crashes of
 * others, whose closing connections end their calls and so return their permits.
 */
export class Admission {
  readonly capacity: number;
  inFlight = 0;
  readonly #byKey = new Map<string, number>();

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /**
   * Runs `work` under a permit. Throws RequestError at once when none is left: `overloaded`, or `rate_limit_exceeded` when
   * it is the key that has taken up its share.
   */
  async run<T>({ keyId, concurrencyShare = 1 }: AdmissionRequest, work: () => Promise<T>): Promise<T> {
    if (this.inFlight >= this.capacity) {
      throw new RequestError(
        'overloaded',
        `${this.capacity} requests are in flight here, which is the limit. Try again in a second, or raise limits.concurrency.`,
        { retryAfterMs },
      );
    }
    const own = this.#byKey.get(keyId) ?? 0;
    const share = Math.max(1, Math.floor(this.capacity * concurrencyShare));
    if (own >= share) {
      throw new RequestError(
        'rate_limit_exceeded',
        `This key has ${own} requests in flight, which is its share. Try again when one is answered, or have its concurrency_share raised.`,
        { retryAfterMs },
      );
    }
    this.inFlight++;
    this.#byKey.set(keyId, own + 1);
    try {
      return await work();
    } finally {
      this.inFlight--;
      const left = (this.#byKey.get(keyId) ?? 1) - 1;
      if (left > 0) this.#byKey.set(keyId, left);
      else this.#byKey.delete(keyId);
    }
  }
}
