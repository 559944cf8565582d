import { RequestError } from '../errors/request-error.ts';

/** The error of every call that a store could not answer; the caller may try again in a second. */
export function stateUnavailable(cause: unknown): RequestError {
  return new RequestError(
    'state_unavailable',
    'API keys and rate limits cannot be checked at the moment. Try again in a second.',
    { retryAfterMs: 1000, cause },
  );
}

/**
 * The answer of a store within `timeoutMs`; its failures and a late answer become `state_unavailable`. An answer that
 * waits in the socket because this process was busy is not late: it is read before the time-out counts.
 */
export function answerWithin<T>(timeoutMs: number, answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(stateUnavailable(new Error(`no answer within ${timeoutMs} ms`)));
    // Timers run before sockets are read, immediates after.
    const timer = setTimeout(() => setImmediate(giveUp), timeoutMs);
    answer.then(
      value => {
        clearTimeout(timer);
        resolve(value);
      },
      error => {
        clearTimeout(timer);
        reject(stateUnavailable(error));
      },
    );
  });
}
