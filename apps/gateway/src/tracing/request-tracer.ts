import type { TraceHeaders } from '@er-gateway/shared/scheduler-protocol';
import type { Exchange } from '../request/exchange.ts';

/** Makes a trace of each request. There is none unless `tracing.url` is set. */
export interface RequestTracer {
  /** Begins the trace of a request that has just come, or goes on with its caller's (`traceparent`). */
  begin(exchange: Exchange): RequestTrace;
  /** Sends what is left. Resolves within a few seconds, whatever the collector does. */
  close(): Promise<void>;
}

/** The trace of one request. */
export interface RequestTrace {
  /** For the servers that the request is passed on to. */
  readonly headers: TraceHeaders;
  /** Its answer has ended: makes a span of it and one of each stage. */
  end(status: number, totalMs: number): void;
}
