import type { Logger } from '@er-gateway/shared/logger';
import {
  type Attributes,
  defaultTextMapGetter,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { type ExportResult, ExportResultCode, W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { Exchange } from '../request/exchange.ts';
import type { RequestTracer } from './request-tracer.ts';

/** Time that a collector has to take a batch, and a closing process for its last one, in milliseconds. */
const exportTimeoutMs = 3000;
/** Time between batches, in milliseconds. */
const exportEveryMs = 1000;

export interface TracerOptions {
  /** Where the collector takes OTLP over HTTP: `http://127.0.0.1:4318/v1/traces`. */
  url: string;
  /** Share of the requests that are traced when their caller does not say, 0 to 1. */
  sampleRatio: number;
  /** Names this worker among the others. */
  instance: number;
  logger: Logger;
}

/** Traces by OpenTelemetry's SDK, sent as OTLP over HTTP (JSON). Loaded only when it is used. */
export function createTracer({ url, sampleRatio, instance, logger }: TracerOptions): RequestTracer {
  const exporter = new OTLPTraceExporter({ url, timeoutMillis: exportTimeoutMs });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': 'er-gateway',
      'service.instance.id': `gateway-${instance}`,
      'process.pid': process.pid,
    }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(sampleRatio) }),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: sayingFailures(exporter, logger),
        scheduledDelayMillis: exportEveryMs,
        exportTimeoutMillis: exportTimeoutMs,
      }),
    ],
  });
  const tracer = provider.getTracer('er-gateway');
  const propagator = new W3CTraceContextPropagator();
  return {
    begin: exchange => {
      const { req, route, timings } = exchange;
      const startTime = performance.timeOrigin + timings.startedAt;
      const parent = propagator.extract(ROOT_CONTEXT, req.headers, defaultTextMapGetter);
      const span = tracer.startSpan(
        `${req.method} ${route.name}`,
        { kind: SpanKind.SERVER, startTime },
        parent,
      );
      const { traceId, spanId, traceFlags, traceState } = span.spanContext();
      const traceparent = `00-${traceId}-${spanId}-0${traceFlags & 1}`;
      const tracestate = traceState?.serialize();
      return {
        headers: tracestate ? { traceparent, tracestate } : { traceparent },
        end: (status, totalMs) => {
          if (!span.isRecording()) return;
          const context = trace.setSpan(ROOT_CONTEXT, span);
          for (const { stage, start, end } of timings.spans) {
            const kind = stage === 'upstream' ? SpanKind.CLIENT : SpanKind.INTERNAL;
            tracer.startSpan(stage, { kind, startTime: startTime + start }, context).end(startTime + end);
          }
          span.setAttributes(attributesOf(exchange, status));
          if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
          span.end(startTime + totalMs);
        },
      };
    },
    close: async () => {
      await provider.shutdown().catch(() => {});
    },
  };
}

/** By OpenTelemetry's conventions for HTTP servers; no texts, keys or addresses with their queries. */
function attributesOf(
  { id, req, route, key, model, errorCode, ...exchange }: Exchange,
  status: number,
): Attributes {
  return {
    'http.request.method': req.method,
    'http.route': route.name,
    'http.response.status_code': status,
    'er.request_id': id,
    'er.inputs': exchange.inputs,
    'er.tokens': exchange.promptTokens,
    'er.cache_hits': exchange.cacheHits,
    ...(key && { 'er.key_id': key.id }),
    ...(model !== null && { 'er.model': model }),
    ...(errorCode !== null && { 'error.type': errorCode }),
  };
}

/** The exporter, with a line in the log when the collector begins to fail and when it is back. */
function sayingFailures(exporter: SpanExporter, logger: Logger): SpanExporter {
  let isFailing = false;
  const note = ({ code, error }: ExportResult) => {
    const hasFailed = code !== ExportResultCode.SUCCESS;
    if (hasFailed && !isFailing)
      logger.warn('traces are lost: the collector (tracing.url) does not take them', { error });
    if (!hasFailed && isFailing) logger.info('the collector takes traces again');
    isFailing = hasFailed;
  };
  return {
    export: (spans, done) =>
      exporter.export(spans, result => {
        note(result);
        done(result);
      }),
    shutdown: () => exporter.shutdown(),
  };
}
