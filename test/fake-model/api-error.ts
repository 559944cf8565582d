/** An answer other than 200, in vLLM's envelope. */
export class ApiError extends Error {
  readonly status: number;
  readonly type: string;
  readonly param: string | null;

  constructor(status: number, type: string, message: string, param: string | null = null) {
    super(message);
    this.status = status;
    this.type = type;
    this.param = param;
  }

  toBody(): string {
    return JSON.stringify({
      error: { message: this.message, type: this.type, param: this.param, code: this.status },
    });
  }
}

/** A fault in a request that vLLM's own code found. */
export const badRequest = (message: string, param: string | null = null) =>
  new ApiError(400, 'BadRequestError', message, param);

/** A fault that the request's schema found (pydantic); note the space in the type. */
export const invalidField = (location: string, kind: string, message: string) =>
  new ApiError(
    400,
    'Bad Request',
    `1 validation error:\n  {'type': '${kind}', 'loc': '${location}', 'msg': '${message}'}`,
    location,
  );

/** The engine's end: dead, stopping, or a bug. */
export const serverError = (message: string) => new ApiError(500, 'InternalServerError', message);

/** vLLM's texts that tell why an engine does not answer. */
export const engineDeadMessage =
  'EngineCore encountered an issue. See stack trace (above) for the root cause.';
export const stoppingMessage = 'cannot schedule new futures after shutdown';

export const busy = () =>
  new ApiError(
    503,
    'Service Unavailable',
    'The engine is currently busy and cannot accept new requests. Please try again later or on a different instance.',
  );
