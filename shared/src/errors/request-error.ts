import { type ErrorCode, errorCatalogue } from './catalogue.ts';

/** What an error may carry beside its code and message. */
export interface RequestErrorOptions {
  /** The request's field that is wrong, as a path: `input`, `documents[3]`. */
  param?: string;
  /** When a retry makes sense, in milliseconds from now; sent as `Retry-After` and `retry-after-ms`. */
  retryAfterMs?: number;
  /** Further answer headers. */
  headers?: Record<string, string>;
  cause?: unknown;
}

/** An error as it travels between processes. */
export interface PlainError {
  code: ErrorCode;
  message: string;
  param?: string;
  retryAfterMs?: number;
}

/**
 * An error whose message the caller may read: what was wrong, the limit, the fix; never a key, a path, a stack or the
 * text of an input. Its code fixes status and type (see catalogue.ts).
 */
export class RequestError extends Error {
  readonly code: ErrorCode;
  readonly param: string | null;
  readonly retryAfterMs: number | null;
  readonly headers: Record<string, string>;

  constructor(code: ErrorCode, message: string, options: RequestErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'RequestError';
    this.code = code;
    this.param = options.param ?? null;
    this.retryAfterMs = options.retryAfterMs ?? null;
    this.headers = options.headers ?? {};
  }

  /** HTTP status of the code. */
  get status(): number {
    return errorCatalogue[this.code].status;
  }

  /** OpenAI's `error.type` of the code. */
  get type(): string {
    return errorCatalogue[this.code].type;
  }
}

/** Any thrown value as an error for the caller: ours as it is, everything else an internal error with a fixed message. */
export function toRequestError(error: unknown): RequestError {
  if (error instanceof RequestError) return error;
  return new RequestError(
    'internal_error',
    'The gateway failed on this request. The log has the cause under this request id.',
    {
      cause: error,
    },
  );
}

/** The error for a frame. An unexpected error crosses without its text: that stays in the log of its process. */
export function toPlainError(error: unknown): PlainError {
  const known = toRequestError(error);
  return {
    code: known.code,
    message: known.message,
    ...(known.param !== null && { param: known.param }),
    ...(known.retryAfterMs !== null && { retryAfterMs: known.retryAfterMs }),
  };
}

/** The error that a frame carried. */
export function fromPlainError({ code, message, ...options }: PlainError): RequestError {
  return new RequestError(code, message, options);
}
