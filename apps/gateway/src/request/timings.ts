import type { Stage } from '@er-gateway/shared/metrics/definitions';

/**
 * How long each stage of one request took, in milliseconds. One value feeds the `Server-Timing` header, the histograms
 * and the audit line, so they cannot disagree.
 */
export class RequestTimings {
  readonly startedAt = performance.now();
  readonly byStage = new Map<Stage, number>();
  #stageStartedAt = this.startedAt;

  /** Ends a stage that began when the last one ended. */
  end(stage: Stage): void {
    const now = performance.now();
    this.byStage.set(stage, now - this.#stageStartedAt);
    this.#stageStartedAt = now;
  }

  /** Splits the time since the last stage between the queue and the model, as the scheduler measured them. */
  endUpstream(upstreamMs: number): void {
    const now = performance.now();
    const upstream = Math.min(upstreamMs, now - this.#stageStartedAt);
    this.byStage.set('queue', now - this.#stageStartedAt - upstream);
    this.byStage.set('upstream', upstream);
    this.#stageStartedAt = now;
  }

  /** Milliseconds since the request arrived. */
  total(): number {
    return performance.now() - this.startedAt;
  }

  /** The value of `Server-Timing` (https://www.w3.org/TR/server-timing/). */
  toHeader(): string {
    let header = '';
    for (const [stage, milliseconds] of this.byStage) header += `${stage};dur=${milliseconds.toFixed(2)}, `;
    return `${header}total;dur=${this.total().toFixed(2)}`;
  }
}
