import { toRouteLabel } from '@er-gateway/shared/metrics/definitions';
import type { GatewayMetrics } from '@er-gateway/shared/metrics/gateway-metrics';
import type { AuditFile } from '../audit/audit-file.ts';
import type { RequestTracer } from '../tracing/request-tracer.ts';
import type { Exchange } from './exchange.ts';
import { LastErrors } from './last-errors.ts';

/** Status that the record of a request carries when its client left before the answer was complete (nginx's). */
const clientClosedStatus = 499;

/** Keeps the record of every request: one audit line, one set of observations and a trace, when its answer has ended. */
export class Recorder {
  readonly #metrics: GatewayMetrics;
  readonly #audit: AuditFile;
  readonly lastErrors = new LastErrors();
  readonly #tracer: RequestTracer | null;
  inFlight = 0;

  constructor(metrics: GatewayMetrics, audit: AuditFile, tracer: RequestTracer | null) {
    this.#tracer = tracer;
    this.#metrics = metrics;
    this.#audit = audit;
  }

  /** Counts the request as under way until its answer has ended or its connection is gone. */
  begin(exchange: Exchange): void {
    this.inFlight++;
    if (this.#tracer) exchange.trace = this.#tracer.begin(exchange);
    this.#metrics.requestsInFlight.inc();
    exchange.res.once('close', () => {
      this.inFlight--;
      this.#metrics.requestsInFlight.dec();
      this.#record(exchange);
    });
  }

  #record(exchange: Exchange): void {
    const { res, req, timings, key, route } = exchange;
    const status = res.writableFinished ? res.statusCode : clientClosedStatus;
    const totalMs = timings.total();
    exchange.trace?.end(status, totalMs);
    const label = toRouteLabel(route.name);
    this.#metrics.requests.inc({ route: label, status: String(status) });
    this.#metrics.requestDuration.series({ route: label }).observe(totalMs / 1000);
    for (const [stage, ms] of timings.byStage)
      this.#metrics.stageDuration.series({ stage }).observe(ms / 1000);
    const code = status === clientClosedStatus ? 'client_closed_request' : exchange.errorCode;
    if (code !== null) this.#metrics.errors.inc({ code });
    if (code === 'rate_limit_exceeded') this.#metrics.rateLimited.inc();
    if (exchange.role !== null && status === 200) {
      this.#metrics.inputs.inc({ model: exchange.role }, exchange.inputs);
      this.#metrics.tokens.inc({ model: exchange.role }, exchange.promptTokens);
    }
    this.lastErrors.note(exchange, status);
    this.#audit.write({
      time: new Date().toISOString(),
      request_id: exchange.id,
      key_id: key?.id ?? null,
      key_name: key?.name ?? null,
      address: exchange.address || null,
      method: req.method,
      route: route.name,
      dialect: exchange.dialect?.name ?? null,
      model: exchange.model,
      inputs: exchange.inputs,
      tokens: exchange.promptTokens,
      cache_hits: exchange.cacheHits,
      bytes_in: exchange.bytesIn,
      status,
      ...(exchange.change && { change: exchange.change }),
      code,
      ms: Object.fromEntries(
        [...timings.byStage, ['total', totalMs]].map(([stage, ms]) => [stage, rounded(ms as number)]),
      ),
    });
  }
}

const rounded = (milliseconds: number) => Math.round(milliseconds * 100) / 100;
