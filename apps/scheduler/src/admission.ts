import { RequestError } from '@er-gateway/shared/errors/request-error';

/** The least and the most that a refused caller is told to wait, in milliseconds. */
const leastRetryAfterMs = 1000;
const longestRetryAfterMs = 60_000;
/** Part of the cap that any key may fill; beyond it a key gets no permits that holds this many times what the others hold on average. */
const commonPart = 0.8;
const muchMore = 2;

export interface AdmissionRequest {
  /** Whose work it is. */
  keyId: string;
  /** Part of the cap that the key may take up; all of it when absent. */
  concurrencyShare?: number | undefined;
  /** It had a permit before this process started, and gets one again: else newcomers would take the permits of what is replayed. */
  isAdmitted?: boolean;
}

/**
 * The cap on requests in flight on this host, and of each key. Counted in one process: it cannot leak over crashes of
 * others, whose closing connections end their calls and so return their permits.
 */
export class Admission {
  readonly capacity: number;
  inFlight = 0;
  readonly #drainMs: () => number;
  readonly #byKey = new Map<string, number>();

  /** `drainMs`: how long what is there will take, in milliseconds; 0 when nobody knows. */
  constructor(capacity: number, drainMs: () => number = () => 0) {
    this.capacity = capacity;
    this.#drainMs = drainMs;
  }

  /**
   * Runs `work` under a permit. Throws RequestError at once when none is left for this key: `overloaded`, or
   * `rate_limit_exceeded` when it is the key that has taken up its share.
   */
  async run<T>(request: AdmissionRequest, work: () => Promise<T>): Promise<T> {
    const { keyId } = request;
    if (!request.isAdmitted) this.#refuseWithoutPermit(request);
    this.inFlight++;
    this.#byKey.set(keyId, (this.#byKey.get(keyId) ?? 0) + 1);
    try {
      return await work();
    } finally {
      this.inFlight--;
      const left = (this.#byKey.get(keyId) ?? 1) - 1;
      if (left > 0) this.#byKey.set(keyId, left);
      else this.#byKey.delete(keyId);
    }
  }

  #refuseWithoutPermit({ keyId, concurrencyShare = 1 }: AdmissionRequest): void {
    const own = this.#byKey.get(keyId) ?? 0;
    if (this.inFlight >= this.capacity) {
      throw this.#refusal(
        'overloaded',
        `${this.capacity} requests are in flight here, which is the limit.`,
        'or raise limits.concurrency',
      );
    }
    const share = Math.max(1, Math.floor(this.capacity * concurrencyShare));
    if (own >= share) {
      throw this.#refusal(
        'rate_limit_exceeded',
        `This key has ${own} requests in flight, which is its share.`,
        'or have its concurrency_share raised',
      );
    }
    const others = this.#byKey.size - (own === 0 ? 0 : 1);
    const isFlooding = others > 0 && own >= (muchMore * (this.inFlight - own)) / others;
    if (this.inFlight >= this.capacity * commonPart && isFlooding) {
      throw this.#refusal(
        'overloaded',
        `This key has ${own} of the ${this.inFlight} requests that are in flight here; what is left up to the limit of ${this.capacity} is for other keys.`,
        'or raise limits.concurrency',
      );
    }
  }

  #refusal(code: 'overloaded' | 'rate_limit_exceeded', why: string, orElse: string): RequestError {
    const retryAfterMs = Math.min(longestRetryAfterMs, Math.max(leastRetryAfterMs, this.#drainMs()));
    const seconds = Math.ceil(retryAfterMs / 1000);
    return new RequestError(code, `${why} Try again in ${seconds} s, ${orElse}.`, { retryAfterMs });
  }
}
