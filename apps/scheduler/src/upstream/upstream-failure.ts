import { RequestError } from '@er-gateway/shared/errors/request-error';

/** How a model server let us down. `refused`: nobody listens; `broken`: the connection or the answer broke. */
export type FailureKind = 'refused' | 'broken' | 'status' | 'nonsense';

/** A call that a model server did not answer as it should. Never shown to callers as it is. */
export class UpstreamFailure extends Error {
  readonly kind: FailureKind;
  /** HTTP status; 0 when there was none. */
  readonly status: number;
  /** The server's own words about it, from its error envelope. */
  readonly serverMessage: string;
  /** The server's error type: `BadRequestError` is hand-made, `Bad Request` comes from its validation. */
  readonly serverType: string;

  constructor(
    kind: FailureKind,
    message: string,
    options: { status?: number; serverMessage?: string; serverType?: string; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'UpstreamFailure';
    this.kind = kind;
    this.status = options.status ?? 0;
    this.serverMessage = options.serverMessage ?? '';
    this.serverType = options.serverType ?? '';
  }

  /** Whether the server judged the request itself: another server would say the same. */
  get isRefusalOfRequest(): boolean {
    return (
      this.kind === 'status' &&
      this.status >= 400 &&
      this.status < 500 &&
      this.status !== 429 &&
      this.status !== 408
    );
  }
}

/** A server's 4xx in our words: only what we can vouch for, never its text when that may quote the input. */
export function refusalFor(failure: UpstreamFailure, servedName: string): RequestError {
  const tooLong = /maximum context length is (\d+) tokens/.exec(failure.serverMessage);
  if (tooLong) {
    return new RequestError(
      'invalid_request',
      `An input is too long: ${servedName} takes at most ${tooLong[1]} tokens an input. Shorten it or split it.`,
      { cause: failure },
    );
  }
  if (failure.status === 404) {
    return new RequestError('upstream_failed', `The model server of ${servedName} does not offer this.`, {
      cause: failure,
    });
  }
  const words = failure.serverType === 'BadRequestError' ? `: ${failure.serverMessage.slice(0, 300)}` : '.';
  return new RequestError('invalid_request', `The model refused it${words}`, { cause: failure });
}
