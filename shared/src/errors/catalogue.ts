/**
 * Every error that a caller can get: its status, its OpenAI `type`, and whether a client should try again. The code is
 * the row's name. docs/errors.md is generated from this table.
 */
export const errorCatalogue = {
  invalid_request: {
    status: 400,
    type: 'invalid_request_error',
    about: 'The body or a field is wrong; `param` names the field.',
  },
  invalid_api_key: {
    status: 401,
    type: 'invalid_request_error',
    about: 'No API key was sent, or it is not known.',
  },
  permission_denied: { status: 403, type: 'permission_error', about: 'The key may not do this.' },
  model_not_found: { status: 404, type: 'invalid_request_error', about: 'No such model here.' },
  not_found: {
    status: 404,
    type: 'invalid_request_error',
    about: 'No such route, or no answer with the request id that feedback names.',
  },
  method_not_allowed: {
    status: 405,
    type: 'invalid_request_error',
    about: 'The route exists, with another method; see `Allow`.',
  },
  request_timeout: {
    status: 408,
    type: 'invalid_request_error',
    about: 'The header or the body did not come in time.',
  },
  request_too_large: {
    status: 413,
    type: 'invalid_request_error',
    about: 'The body is over `gateway.max_body_bytes`.',
  },
  unsupported_media_type: {
    status: 415,
    type: 'invalid_request_error',
    about: 'The body must be JSON in UTF-8.',
  },
  headers_too_large: {
    status: 431,
    type: 'invalid_request_error',
    about: 'The header of the request is over 16 KiB.',
  },
  rate_limit_exceeded: {
    status: 429,
    type: 'rate_limit_error',
    about: 'The key used up its requests, inputs or tokens a minute, or its share of the concurrency.',
  },
  too_many_failures: {
    status: 429,
    type: 'rate_limit_error',
    about: 'Too many unknown API keys came from this address within a minute.',
  },
  client_closed_request: {
    status: 499,
    type: 'invalid_request_error',
    about: 'The client hung up; only logged.',
  },
  internal_error: {
    status: 500,
    type: 'server_error',
    about: 'A fault of the gateway; the log has the cause.',
  },
  upstream_failed: {
    status: 502,
    type: 'server_error',
    about: 'A model server broke off or answered nonsense, twice.',
  },
  overloaded: { status: 503, type: 'server_error', about: 'Too many requests are in flight on this host.' },
  no_available_upstream: { status: 503, type: 'server_error', about: 'The model is loading or down.' },
  shutting_down: { status: 503, type: 'server_error', about: 'This process is being stopped.' },
  state_unavailable: {
    status: 503,
    type: 'server_error',
    about: 'Keys and limits cannot be checked: Redis or the state app is away.',
  },
  upstream_timeout: { status: 504, type: 'server_error', about: 'No answer within the time-out.' },
} as const satisfies Record<string, { status: number; type: string; about: string }>;

/** The name of a row of the catalogue; `error.code` in answers. */
export type ErrorCode = keyof typeof errorCatalogue;
