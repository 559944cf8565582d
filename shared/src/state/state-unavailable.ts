import { RequestError } from '../errors/request-error.ts';

/** The error of every call that a store could not answer; the caller may try again in a second. */
export function stateUnavailable(cause: unknown): RequestError {
  return new RequestError(
    'state_unavailable',
    'API keys and rate limits cannot be checked at the moment. Try again in a second.',
    { retryAfterMs: 1000, cause },
  );
}

/** A wait is counted in this many pieces; see answerWithin. */
const pieces = 4;

/**
 * The answer of a store within `timeoutMs`; its failures and a late answer become `state_unavailable`. Time in which this
 * process got no CPU counts as one quarter at most: one of 64 workers on 2 busy cores may sleep for seconds, and an answer
 * that waits in its socket, or to a question that it could not send before, is not late.
 */
export function answerWithin<T>(timeoutMs: number, answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    let left = pieces;
    let timer: NodeJS.Timeout;
    const count = () => {
      // Sockets are read between two timers, however late the first one was.
      if (left-- > 0) timer = setTimeout(count, timeoutMs / pieces);
      else reject(stateUnavailable(new Error(`no answer within ${timeoutMs} ms`)));
    };
    count();
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
