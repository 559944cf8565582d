import type { AuditWriter } from '@er-gateway/shared/audit/audit-writer';
import { errorCatalogue } from '@er-gateway/shared/errors/catalogue';
import type { RequestError } from '@er-gateway/shared/errors/request-error';
import { toRouteLabel } from '@er-gateway/shared/metrics/definitions';
import type { GatewayMetrics } from '@er-gateway/shared/metrics/gateway-metrics';
import type { RequestTracer } from '../tracing/request-tracer.ts';
import type { Exchange } from './exchange.ts';
import { LastErrors } from './last-errors.ts';

/** Status that the record of a request carries when its client left before the answer was complete (nginx's). */
const clientClosedStatus = 499;

/**
 * Keeps the record of every request: one audit line, one set of observations and a trace, before the last byte of its
 * answer goes out, so that no death of this process leaves an answered request without its line.
 */
export class Recorder {
  readonly #metrics: GatewayMetrics;
  readonly #audit: AuditWriter;
  readonly #tracer: RequestTracer | null;
  readonly lastErrors = new LastErrors();
  inFlight = 0;

  constructor(metrics: GatewayMetrics, audit: AuditWriter, tracer: RequestTracer | null) {
    this.#tracer = tracer;
    this.#metrics = metrics;
    this.#audit = audit;
  }

  /** Counts the request as under way until its answer has ended or its connection is gone. */
  begin(exchange: Exchange): void {
    this.inFlight++;
    if (this.#tracer) exchange.trace = this.#tracer.begin(exchange);
    this.#metrics.requestsInFlight.inc();
    exchange.onAnswered = then => this.#record(exchange, exchange.res.statusCode, then);
    exchange.res.once('close', () => {
      this.inFlight--;
      this.#metrics.requestsInFlight.dec();
      if (exchange.isRecorded) return;
      if (!exchange.res.headersSent) exchange.timings.fail();
      this.#record(exchange, cutStatus(exchange));
    });
  }

  /** Keeps the record of what was refused before it was a request. */
  refused(id: string, address: string, { status, code }: RequestError): void {
    this.#metrics.requests.inc({ route: 'other', status: String(status) });
    this.#metrics.errors.inc({ code });
    this.#audit.append({
      time: new Date().toISOString(),
      request_id: id,
      key_id: null,
      key_name: null,
      address: address || null,
      route: 'none',
      status,
      code,
    } as { time: string });
  }

  /** Tells what became of a change whose request has its line already: its client left before the store answered. */
  tellChange({ id, key, address, change }: Exchange): void {
    this.#audit.append({
      time: new Date().toISOString(),
      event: 'change',
      request_id: id,
      key_id: key?.id ?? null,
      key_name: key?.name ?? null,
      address: address || null,
      change,
    } as { time: string });
  }

  #record(exchange: Exchange, status: number, then = () => {}): void {
    exchange.isRecorded = true;
    const { req, timings, key, route } = exchange;
    const totalMs = timings.total();
    exchange.trace?.end(status, totalMs);
    const label = toRouteLabel(route.name);
    this.#metrics.requests.inc({ route: label, status: String(status) });
    this.#metrics.requestDuration.series({ route: label }).observe(totalMs / 1000);
    for (const [stage, ms] of timings.byStage)
      this.#metrics.stageDuration.series({ stage }).observe(ms / 1000);
    const code = status === clientClosedStatus ? 'client_closed_request' : exchange.errorCode;
    if (code !== null) this.#metrics.errors.inc({ code });
    // Beside the limits a minute a key has its share of the concurrency.
    if (code === 'rate_limit_exceeded')
      this.#metrics.rateLimited.inc({ limit: exchange.limitHit ?? 'concurrency' });
    const isCounted = exchange.work === 'embed' || exchange.work === 'score';
    if (isCounted && exchange.role !== null && status === 200) {
      this.#metrics.inputs.inc({ model: exchange.role }, exchange.inputs);
      this.#metrics.tokens.inc({ model: exchange.role }, exchange.promptTokens);
    }
    this.lastErrors.note(exchange, status);
    const record = {
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
      upstream: exchange.upstreams,
      bytes_in: exchange.bytesIn,
      bytes_out: exchange.bytesOut,
      status,
      ...(exchange.change && { change: exchange.change }),
      code,
      ms: Object.fromEntries(
        [...timings.byStage, ['total', totalMs]].map(([stage, ms]) => [stage, rounded(ms as number)]),
      ),
    };
    this.#audit.appendSoon(record, then);
  }
}

/** Of an answer that was not finished: by our fault, or because the client left. */
function cutStatus({ errorCode }: Exchange): number {
  if (errorCode === null || errorCode === 'client_closed_request') return clientClosedStatus;
  return errorCatalogue[errorCode as keyof typeof errorCatalogue].status;
}

const rounded = (milliseconds: number) => Math.round(milliseconds * 100) / 100;
