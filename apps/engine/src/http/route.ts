/** One way to ask the engine for something. */
export interface Route {
  method: 'GET' | 'POST';
  paths: readonly string[];
  /** Throws EngineError; anything else is a bug and answered with 500. */
  answer: (call: RouteCall) => Promise<RouteAnswer> | RouteAnswer;
}

export interface RouteCall {
  /** Parsed JSON; undefined for GET. */
  body: unknown;
  /** The caller's X-Request-Id, or one of ours: answers carry it in their id. */
  requestId: string;
  /** Aborts when the caller hangs up. */
  signal: AbortSignal;
  /** POST requests in flight, this one included. */
  inFlight: number;
}

export interface RouteAnswer {
  contentType: string;
  body: string | Buffer;
}

export function jsonAnswer(value: unknown): RouteAnswer {
  return { contentType: 'application/json', body: JSON.stringify(value) };
}
